"""What keys do: end, hold and repeat what is said, without a word from the agent, and tell who speaks."""

from __future__ import annotations

import logging
import os
from typing import Any

from voice_mcp import __version__
from voice_mcp.core.session import Session
from voice_mcp.core.speech import Speech
from voice_mcp.errors import VoiceError
from voice_mcp.protocols import Ears
from voice_mcp.types import ControlAnswer

logger = logging.getLogger(__name__)

STOPPED = "The user stopped this message with a key."
SKIPPED = "The user skipped this message with a key."
HUSHED = "The user silenced everything with a key: do not speak again before they ask for it, or it cannot wait."
"""What agents are told. Whoever presses keys can choose among these, and not write one."""

NOBODY_SPEAKS = "Nobody is speaking."
NOBODY_LISTENS = "Nobody is listening."


class RemoteControl:
    """The ``Controls`` of one house.

    Args:
        session: Whose.
        ears: Who listens, if anybody can.
    """

    def __init__(self, session: Session, ears: Ears | None = None) -> None:
        self._session = session
        self._speaker = session.speaker
        self._ears = ears
        self._began = session.clock.utc()

    async def done(self) -> ControlAnswer:
        if self._listens_since is None:
            return ControlAnswer(False, NOBODY_LISTENS)
        assert self._ears is not None
        self._ears.end_turn()
        return ControlAnswer(True, "The turn is over.")

    async def stop(self) -> ControlAnswer:
        listened = self._stop_listening()
        speech = self._speaker.current
        if speech is not None:
            speech.stop(STOPPED)
            return ControlAnswer(True, "Stopped.")
        return ControlAnswer(listened, "Stopped listening." if listened else NOBODY_SPEAKS)

    async def repeat(self) -> ControlAnswer:
        latest = self._speaker.latest
        if latest is None:
            return ControlAnswer(False, "Nothing has been said yet.")
        again = await self._session.begin(
            latest.message, latest.manner, latest.conversation_id, self._session.clock.now(), _nobody_looks
        )
        again.on_end(_log_failure)
        return ControlAnswer(True, "Said again.")

    async def pause(self) -> ControlAnswer:
        speech = self._speaker.current
        if speech is None:
            return ControlAnswer(False, NOBODY_SPEAKS)
        if speech.is_held:
            return ControlAnswer(False, "It is paused already.")
        speech.hold()
        if not speech.is_held:
            return ControlAnswer(False, "It has just ended.")
        return ControlAnswer(True, "Paused.")

    async def resume(self) -> ControlAnswer:
        speech = self._speaker.current
        if speech is None or not speech.is_held:
            return ControlAnswer(False, "Nothing is paused.")
        speech.go_on()
        return ControlAnswer(True, "Resumed.")

    async def skip(self) -> ControlAnswer:
        speech = self._speaker.current
        if speech is None:
            return ControlAnswer(False, NOBODY_SPEAKS)
        speech.stop(SKIPPED)
        return ControlAnswer(True, "Skipped.")

    async def hush(self) -> ControlAnswer:
        # Without a pause in between: whoever waits must not get the floor of whoever is being silenced.
        current = self._speaker.current
        ended = [speech for speech in (current, *self._speaker.queued) if speech is not None]
        for speech in ended:
            speech.stop(HUSHED)
        listened = self._stop_listening()
        if not ended:
            return ControlAnswer(True, "Stopped listening." if listened else "It was silent already.")
        return ControlAnswer(True, f"Silenced {len(ended)} message{'s' if len(ended) > 1 else ''}.")

    def status(self) -> dict[str, Any]:
        current, latest, since = self._speaker.current, self._speaker.latest, self._listens_since
        return {
            "process": os.getpid(),
            "version": __version__,
            "project": self._session.archive.project_path,
            "started": self._began.isoformat(),
            "speaking": _record(current) if current is not None else None,
            "waiting": [_record(speech) for speech in self._speaker.queued],
            "listening": {"since": since.isoformat()} if since is not None else None,
            "spoke": latest.spoke_at.isoformat() if latest is not None and latest.spoke_at is not None else None,
        }

    @property
    def _listens_since(self) -> Any:
        return self._ears.listens_since if self._ears is not None else None

    def _stop_listening(self) -> bool:
        """Whether anybody was, or was about to be."""
        return self._ears is not None and self._ears.stop()


def _record(speech: Speech) -> dict[str, Any]:
    since = speech.spoke_at or speech.asked_at
    return {
        "utterance_id": speech.utterance_id,
        "conversation_id": speech.conversation_id,
        "since": since.isoformat(),
        "paused": speech.is_held,
    }


def _nobody_looks(position_s: float, total_s: float | None, text: str) -> None:
    """A ``ProgressListener`` for what no call waits for."""


def _log_failure(speech: Speech) -> None:
    """The agent did not ask for it, so it is not told."""
    if isinstance(speech.failure, VoiceError):
        logger.warning("A message could not be repeated: %s", speech.failure.advice)
