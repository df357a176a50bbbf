"""Who listens, and what came of it: the voice detector with the endpointing, as the product puts them together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from voice_mcp.core.endpointing import Endpointer, SpeechStarted, TurnEnded
from voice_mcp.core.pauses import Pauses
from voice_mcp.vad.silero import SileroDetector


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided in one stretch of sound, in its seconds; None where nothing was."""

    started_s: float | None = None
    """When it was certain that somebody speaks."""
    keep_s: float | None = None
    """From when on the sound is kept."""
    ended_s: float | None = None
    """When the turn was taken to be over."""


class Ear(Protocol):
    """Somebody who listens."""

    cpu_s: float
    """Processor time that listening has taken so far."""

    def meet(self) -> None:
        """Another speaker comes, of whom nothing is known."""
        ...

    def listen(self, pcm: bytes) -> Outcome:
        """Follow one turn (int16, 16 kHz, mono) to its end, or to the end of the sound."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class OurEar:
    """This project's."""

    def __init__(self) -> None:
        self._detector = SileroDetector()
        self._window_s = self._detector.format.seconds(self._detector.window_frames)
        self._pauses = Pauses()
        self.cpu_s = 0.0

    def meet(self) -> None:
        self._pauses = Pauses()

    def listen(self, pcm: bytes) -> Outcome:
        began_s = time.process_time()
        self._detector.reset()
        endpointer = Endpointer(self._window_s, self._pauses)
        outcome = Outcome()
        for probability in self._detector.add(pcm):
            match endpointer.add(probability):
                case SpeechStarted(at_s=at_s, keep_s=keep_s):
                    outcome = Outcome(at_s, keep_s)
                case TurnEnded(at_s=at_s):
                    outcome = Outcome(outcome.started_s, outcome.keep_s, at_s)
        self.cpu_s += time.process_time() - began_s
        return outcome

    def close(self) -> None:
        """It holds nothing."""
