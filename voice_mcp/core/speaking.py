"""All that is said: one utterance after another, each in a task of its own."""

from __future__ import annotations

import asyncio

from voice_mcp.core.casting import Manner
from voice_mcp.core.discretion import Discretion
from voice_mcp.core.floor import Admission, Floor
from voice_mcp.core.outlet import OutputChoice
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.phrases import Phrases
from voice_mcp.core.played_sound import PlaybackTap
from voice_mcp.core.script import Script
from voice_mcp.core.seating import Seating
from voice_mcp.core.speech import Speech
from voice_mcp.core.utterance import Archive, Utterance
from voice_mcp.protocols import ProgressListener, Speakers


class Speaker:
    """Everything that is said goes through here, one utterance after another.

    Args:
        roster: Who can speak.
        speakers: Where sound goes.
        archive: Where records go.
        output: A device, a file, or whichever there is.
        phrases: What is kept of what is said often, if anything is.
        tap: Told all that is played, if somebody listens at the same time.
        floor: Who may speak when; None for one that nobody else knows of.
    """

    def __init__(
        self,
        roster: SpeechRoster,
        speakers: Speakers,
        archive: Archive,
        output: OutputChoice,
        phrases: Phrases | None = None,
        tap: PlaybackTap | None = None,
        floor: Floor | None = None,
    ) -> None:
        self.longest_hold_s = output.longest_hold_s
        """How long an utterance can be held, in seconds; then it ends."""
        self.roster = roster
        self.speakers = speakers
        self.archive = archive
        self.output = output
        self.phrases = phrases
        self.tap = tap
        self.discretion = Discretion(roster.engines)
        self.seating = Seating(output.pan)
        self.floor = floor or Floor(clock=roster.clock)
        self.current: Speech | None = None
        """Who has the floor."""
        self.latest: Speech | None = None
        """Who had it last, or has it."""
        self._running: dict[Speech, None] = {}
        self._unreported: list[str] = []

    def start(
        self,
        script: Script,
        manner: Manner,
        conversation_id: str,
        arrived_s: float,
        progress: ProgressListener,
        admission: Admission | None = None,
    ) -> Speech:
        """Begin to say something, as soon as the floor is free.

        Args:
            script: What.
            manner: How.
            conversation_id: Whose.
            arrived_s: When it was asked for, on the clock of ``Clock.now``.
            progress: Told where the voice is.
            admission: How urgent it is, and which dialogue it belongs to.
        """
        utterance = Utterance(self.archive, conversation_id)
        speech = Speech(self, script, manner, utterance, arrived_s, progress, admission or Admission())
        self._running[speech] = None
        speech.on_end(self._running.pop)
        return speech

    @property
    def queued(self) -> tuple[Speech, ...]:
        """Who waits for the floor, in order."""
        return tuple(speech for speech in self._running if speech is not self.current)

    def report_later(self, speech: Speech) -> None:
        """Nobody waits for this one: if it fails, the next result says so."""
        speech.on_end(self._remember_failure)

    def unreported(self) -> list[str]:
        """What went wrong with what nobody waited for; each is told once."""
        told, self._unreported = self._unreported, []
        return told

    async def aclose(self, timeout_s: float) -> None:
        """Stop everything; return when it is silent and on record, after ``timeout_s`` seconds at the latest."""
        for speech in tuple(self._running):
            speech.stop()
        endings = [asyncio.ensure_future(speech.ended()) for speech in self._running]
        if endings:
            await asyncio.wait(endings, timeout=timeout_s)

    def _remember_failure(self, speech: Speech) -> None:
        if speech.failure is not None:
            self._unreported.append(f"An earlier queued message was not spoken in full: {speech.failure.message}")
        elif speech.not_said is not None:
            self._unreported.append(f"An earlier queued message was not said: {speech.not_said}.")
