"""Who listens, and what came of it: detector, turn model and endpointing, as the product puts them together."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from tests.support.corpus import Listening
from voice_mcp.core.cues import Cues
from voice_mcp.core.endpointing import Decision, Endpointer, SpeechPaused, SpeechStarted, TurnEnded
from voice_mcp.core.pauses import Eagerness, Pauses
from voice_mcp.protocols import TurnModel
from voice_mcp.types import LISTENING_FORMAT
from voice_mcp.vad.silero import SileroDetector

MODEL_S = 0.05
"""How long a judgement takes, in the time of the sound; how long it really took is measured apart."""


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

    def listen(self, sound: Listening) -> Outcome:
        """Follow one turn to its end, or to the end of the sound."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(slots=True)
class Senses:
    """Detector and model, which several ears may share: what was made of the sound last heard is not made again."""

    model: TurnModel | None = None
    cpu_s: float = 0.0
    judged_s: list[float] = field(default_factory=list)
    """Processor time of each judgement."""
    _detector: SileroDetector = field(default_factory=SileroDetector)
    _sound: Listening | None = None
    _probabilities: list[float] = field(default_factory=list)
    _judgements: dict[tuple[float, float], float] = field(default_factory=dict)

    @property
    def window_s(self) -> float:
        """How much sound a probability stands for."""
        return self._detector.format.seconds(self._detector.window_frames)

    def hear(self, sound: Listening) -> list[float]:
        """The probabilities of speech."""
        if sound is not self._sound:
            began_s = time.process_time()
            self._detector.reset()
            self._sound, self._probabilities, self._judgements = sound, self._detector.add(sound.pcm), {}
            self.cpu_s += time.process_time() - began_s
        return self._probabilities

    def judge(self, from_s: float, to_s: float) -> float | None:
        """What the model makes of a part of that sound; None where there is no model."""
        if self.model is None or self._sound is None:
            return None
        if (from_s, to_s) not in self._judgements:
            began_s = time.thread_time()
            first, end = (LISTENING_FORMAT.frame_bytes * round(at * LISTENING_FORMAT.rate_hz) for at in (from_s, to_s))
            self._judgements[from_s, to_s] = self.model.completeness(self._sound.pcm[first:end])
            self.judged_s.append(time.thread_time() - began_s)
        return self._judgements[from_s, to_s]


class OurEar:
    """This project's.

    Args:
        senses: What it hears with.
        eagerness: How soon it takes a turn to be over that sounds complete; None does without the model.
        understands: Whether it knows at once what was said up to a pause, as with a perfect recogniser.
    """

    def __init__(
        self, senses: Senses | None = None, eagerness: Eagerness | None = None, *, understands: bool = False
    ) -> None:
        self._senses = senses or Senses()
        self._eagerness = eagerness
        self._cues = Cues() if understands else None
        self.meet()

    @property
    def cpu_s(self) -> float:
        return self._senses.cpu_s

    def meet(self) -> None:
        self._pauses = Pauses(eagerness=self._eagerness or Eagerness.CAREFUL)

    def listen(self, sound: Listening) -> Outcome:
        turn = Endpointer(self._senses.window_s, self._pauses)
        thinking: deque[tuple[SpeechPaused, float]] = deque()
        outcome = Outcome()
        for probability in self._senses.hear(sound):
            decision = turn.add(probability)
            while thinking and turn.captured_s >= thinking[0][0].at_s + MODEL_S:
                decision = turn.judge(*thinking.popleft()) or decision
            match decision:
                case SpeechStarted(at_s=at_s, keep_s=keep_s):
                    outcome = Outcome(at_s, keep_s)
                case SpeechPaused():
                    completeness = self._judge(outcome.keep_s or 0.0, decision)
                    if completeness is not None:
                        thinking.append((decision, completeness))
                    decision = self._understand(turn, decision, sound)
            if isinstance(decision, TurnEnded):
                return Outcome(outcome.started_s, outcome.keep_s, decision.at_s)
        return outcome

    def close(self) -> None:
        """It holds nothing."""

    def _judge(self, keep_s: float, paused: SpeechPaused) -> float | None:
        return self._senses.judge(keep_s, paused.at_s) if self._eagerness is not None else None

    def _understand(self, turn: Endpointer, paused: SpeechPaused, sound: Listening) -> Decision | None:
        return turn.understand(paused, self._cues.of(sound.said_by(paused.at_s))) if self._cues is not None else None
