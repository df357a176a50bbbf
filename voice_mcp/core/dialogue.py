"""Who asks and who is answered: every ``Conversing`` of this house, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from voice_mcp.core.barge_in import BargeIn
from voice_mcp.core.conversing import Conversing, Say
from voice_mcp.core.listening import Ears, Heard, Wishes
from voice_mcp.core.open_microphone import Clean, OpenMicrophone
from voice_mcp.core.rehearing import FAILED, NO_SPEECH, UNDERSTOOD
from voice_mcp.core.relay import Relay
from voice_mcp.core.signals import Signals
from voice_mcp.core.speaking import Speaker
from voice_mcp.core.speech import Speech
from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Archive, Trail
from voice_mcp.errors import ListeningUnavailable
from voice_mcp.protocols import Microphone
from voice_mcp.storage.conversation_log import Exchange
from voice_mcp.types import LISTENING_FORMAT

STOPPED_LISTENING = "The user ended the listening with a key."
"""What the agent is told."""


class Dialogue:
    """Everything that is asked and answered goes through here.

    Args:
        speaker: Who speaks.
        archive: Where records go.
        microphone: Where answers come from; None when nobody is to be listened to.
        transcriber: Who turns them into words.
        make_ears: Makes what listening takes. Called once, in a thread, for it loads libraries.
        make_barge_in: Makes what listens while the agent speaks, or None; in a thread likewise.
        signals: Plays chimes.
    """

    def __init__(
        self,
        speaker: Speaker,
        archive: Archive,
        microphone: Microphone | None,
        transcriber: Transcriber,
        make_ears: Callable[[], Ears],
        make_barge_in: Callable[[], BargeIn | None],
        signals: Signals,
    ) -> None:
        self.speaker = speaker
        self.archive = archive
        self.signals = signals
        self._microphone = microphone
        self._transcriber = transcriber
        self._make_ears = make_ears
        self._make_barge_in = make_barge_in
        self._ears: asyncio.Task[Ears] | None = None
        self._preparing: asyncio.Future[Any] | None = None
        self._barge_in: BargeIn | None = None
        self._running: dict[str, Conversing] = {}
        self._alive: list[Conversing] = []  # those too that nobody waits for any more: their calls were cancelled

    @property
    def running(self) -> tuple[Conversing, ...]:
        """What is under way, or waits to be fetched."""
        return tuple(self._running.values())

    @property
    def unfinished(self) -> tuple[Conversing, ...]:
        """What has not ended, also where nobody waits for it any more."""
        return tuple(each for each in self._alive if not each.is_over)

    def start(
        self,
        conversation_id: str,
        wishes: Wishes,
        relay: Relay,
        *,
        say: Say,
        message: str | None = None,
        speech: Speech | None = None,
    ) -> Conversing:
        """Begin with a message, if there is one, and its answer; see ``Conversing``."""
        self._prepare_ahead()
        conversing = Conversing(self, conversation_id, wishes, relay, message=message, speech=speech, say=say)
        self._running[conversation_id] = conversing
        self._alive = [*self.unfinished, conversing]
        return conversing

    def pending(self, conversation_id: str) -> Conversing | None:
        """What goes on in a conversation, or has ended and was not fetched."""
        return self._running.get(conversation_id)

    def fetched(self, conversing: Conversing) -> None:
        """Its outcome has reached the agent."""
        if self._running.get(conversing.conversation_id) is conversing:
            del self._running[conversing.conversation_id]

    async def aclose(self, timeout_s: float) -> bool:
        """Stop everything; return when microphones are closed, after ``timeout_s`` seconds at the latest.

        Returns:
            Whether they are.
        """
        for conversing in self.unfinished:
            conversing.stop()
        endings = [asyncio.ensure_future(conversing.ended()) for conversing in self.unfinished]
        late = (await asyncio.wait(endings, timeout=timeout_s))[1] if endings else set()
        await self.signals.aclose()
        return not late

    # --- what a key can do: ``protocols.Ears`` -----------------------------------------------------------------

    @property
    def listens_since(self) -> datetime | None:
        """Since when the user is listened to; None when nobody is."""
        return min((each.listens_since for each in self.running if each.listens_since is not None), default=None)

    def end_turn(self) -> None:
        """Take what was said so far as all there is. Returns at once."""
        for conversing in self.running:
            conversing.finish()

    def stop(self) -> bool:
        """Listen no more, also where that is only about to begin; what was said is not waited for. Returns at once.

        Returns:
            Whether anybody was listened to, or about to be.
        """
        under_way = [each for each in self.running if not each.is_over]
        listening = [each for each in under_way if each.listens_since is not None or not each.is_speaking]
        for conversing in listening:
            conversing.stop(STOPPED_LISTENING)
        return bool(listening)

    # --- what listening takes ----------------------------------------------------------------------------------

    async def see_if_anybody_listens(self) -> None:
        """See that an answer could be heard and understood, as far as that can be seen without listening.

        Raises:
            ListeningUnavailable: It could not.
        """
        if self._microphone is None:
            raise ListeningUnavailable("No microphone is to be used (VOICEMODE_AUDIO_INPUT=none).")
        await self._transcriber.see_if_anybody_listens()

    async def ears(self) -> Ears:
        """What listening takes, made at the first call, and again after one that failed.

        Raises:
            ListeningUnavailable: Something is not installed that was asked for by name.
        """
        if self._ears is None or (self._ears.done() and self._ears.exception() is not None):
            self._ears = asyncio.create_task(asyncio.to_thread(self._make_ears), name="ears")
        return await asyncio.shield(self._ears)

    async def barge_in(self) -> BargeIn | None:
        """Whoever listens while the agent speaks; None when nobody is to. The same each time: it gets to know the room.

        Raises:
            ListeningUnavailable: The agent would interrupt itself.
        """
        if self._barge_in is None and self._microphone is not None:
            self._barge_in = await asyncio.to_thread(self._make_barge_in)
        return self._barge_in

    def _prepare_ahead(self) -> None:
        """Load what listening takes while the message is being said, without opening the microphone."""
        if self._microphone is not None and (self._preparing is None or self._preparing.done()):
            both = asyncio.gather(self.ears(), self._microphone.prepare(), return_exceptions=True)
            self._preparing = asyncio.ensure_future(both)  # whoever needs them is told what went wrong

    async def open_microphone(self, clean: Clean | None, on_loss: Callable[[str], None]) -> OpenMicrophone:
        """Open the microphone; see ``OpenMicrophone``.

        Raises:
            MicrophoneUnavailable: There is none that can be opened.
        """
        if self._microphone is None:
            raise ListeningUnavailable("No microphone is to be used (VOICEMODE_AUDIO_INPUT=none).")
        return await OpenMicrophone.begin(self._microphone, clean, on_loss)

    # --- records -----------------------------------------------------------------------------------------------

    def put_on_record(self, heard: Heard, trail: Trail, began: datetime) -> None:
        """Write what was heard into the conversation log, and beside its audio where that is to be kept."""
        archive, transcript = self.archive, heard.transcript
        text = transcript.text if transcript is not None else ""
        if archive.keeps_transcripts and text and heard.audio_path is not None:
            archive.recordings.save_transcript(heard.audio_path, text)
        elif archive.keeps_transcripts and text:
            archive.recordings.save_transcript_alone(trail.conversation_id, "stt", text)
        if archive.conversations is None:
            return
        archive.conversations.append(
            Exchange(
                timestamp=began,
                conversation_id=trail.conversation_id,
                utterance_id=trail.utterance_id or "",
                type="stt",
                text=text,
                audio_file=archive.root.relative(heard.audio_path) if heard.audio_path is not None else None,
                duration_ms=round(heard.recorded_s * 1000),
                project_path=archive.project_path,
                metadata=_metadata(heard),
            )
        )


def _metadata(heard: Heard) -> dict[str, Any]:
    transcript = heard.transcript
    metadata: dict[str, Any] = {
        "status": _status(heard),
        "engine": transcript.engine if transcript is not None else None,
        "model": transcript.model if transcript is not None else None,
        "language": transcript.language if transcript is not None else None,
        "end_of_turn_ms": heard.end_of_turn_ms,
        "listen_s": round(heard.listen_s, 3),
        "rate_hz": LISTENING_FORMAT.rate_hz,
        "channels": LISTENING_FORMAT.channels,
    }
    if heard.problem is not None:
        speech = [[round(span.start_s, 3), round(span.end_s, 3)] for span in heard.spans]
        metadata |= {"error": heard.problem.message, "speech": speech}
    return metadata


def _status(heard: Heard) -> str:
    if heard.problem is not None:
        return FAILED
    if heard.transcript is None:
        return "interrupted"
    return UNDERSTOOD if heard.transcript.text else NO_SPEECH
