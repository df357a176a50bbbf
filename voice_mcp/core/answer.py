"""The user's answer as it is put together, turn by turn, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from voice_mcp.core.listening import DEAD_FILE, DEAD_MICROPHONE, Heard
from voice_mcp.core.speech import Spoken
from voice_mcp.types import Transcript


class AnswerStatus(StrEnum):
    """How it ended."""

    ANSWERED = "answered"
    NO_SPEECH = "no_speech"
    INTERRUPTED = "interrupted"


TYPED = "The answer was typed."
NOISY = "There was a voice, but no words could be made out."
"""What a result says of how there came to be an answer, or none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message and its answer came to."""

    status: AnswerStatus
    spoken: Spoken | None = None
    response: str | None = None
    transcript: Transcript | None = None
    """Of the last turn; who understood it, and in which language."""
    listen_s: float = 0.0
    """Seconds the user was listened to."""
    end_of_turn_ms: float | None = None
    """Milliseconds from the last word to the decision that it was the last."""
    audio_path: Path | None = None
    """The recording of the last turn, if one is kept."""
    notes: tuple[str, ...] = ()
    is_noisy: bool = False
    """Whether there was a voice, and no words: typing may do."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is told of the listening, under the names it has in results; what does not apply is left out."""
        transcript = self.transcript
        facts = {
            "language": transcript.language if transcript is not None else None,
            "stt_engine": transcript.engine if transcript is not None else None,
            "listen_s": self.listen_s or None,
            "end_of_turn_ms": self.end_of_turn_ms,
            "audio_path": str(self.audio_path) if self.audio_path is not None else None,
        }
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(slots=True)
class Answer:
    """What has been said so far."""

    said: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noises: int = 0
    """How often there was a voice without a word."""
    listen_s: float = 0.0
    _last: Heard = field(default_factory=Heard)

    @property
    def status(self) -> AnswerStatus:
        """How it ended, if it ends now."""
        return AnswerStatus.ANSWERED if self.said else AnswerStatus.NO_SPEECH

    def add(self, heard: Heard) -> None:
        """A turn is over."""
        self.listen_s += heard.listen_s
        if not heard.is_silence:
            self._last = heard
        self.notes += [remark for remark in heard.remarks if remark not in self.notes]
        if heard.transcript is not None and heard.transcript.note:
            self.notes.append(heard.transcript.note)

    def outcome(self, status: AnswerStatus, spoken: Spoken | None) -> Outcome:
        """What it came to."""
        last = self._last
        is_noisy = self.noises > 0 and not self.said
        # Whoever was heard was not silent: what was said of the silence before or behind is no answer.
        notes = [note for note in self.notes if not (is_noisy and note in (DEAD_FILE, DEAD_MICROPHONE))]
        return Outcome(
            status,
            spoken,
            response=" ".join(self.said) or None,
            transcript=last.transcript,
            listen_s=round(self.listen_s, 3),
            end_of_turn_ms=last.end_of_turn_ms,
            audio_path=last.audio_path,
            notes=tuple(notes),
            is_noisy=is_noisy,
        )
