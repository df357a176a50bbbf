"""When a turn begins and when it is over: probabilities of speech in, decisions out. Pure: it has no clock.

    WAITING ── speech for min_speech_s ─▶ SPEAKING ── silence for pause_s ─▶ PAUSED ── longer than a pause ─▶ over
       │                                      ◀────────── speech for min_speech_s ─┘
       └── nobody for no_speech_s ─▶ over                    (and too long, from anywhere) ─▶ over

All times are seconds of captured sound since listening began, so whatever makes the capture late cannot make a
decision wrong. ``Pauses`` alone says how long a silence ends the turn.

Whoever knows more than silence says it while the turn is paused: ``judge`` takes how it sounds, ``understand`` what was
said. Both are about one pause; when the speaker goes on, they are forgotten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from voice_mcp.core.cues import Cue, CueKind
from voice_mcp.core.pauses import Pauses


@dataclass(frozen=True, slots=True)
class TurnRules:
    """What counts as speech, and what as the end of it."""

    on: float = 0.5
    """Probability at which speech begins."""
    off: float = 0.35
    """Probability below which it stops: lower, so that a soft syllable does not end it."""
    min_speech_s: float = 0.096
    """Speech that is shorter is a noise."""
    pause_s: float = 0.15
    """Silence that is shorter belongs to the words around it. A detector is some 0.1 s late to notice one."""
    pre_roll_s: float = 0.4
    """What is kept from before the speech: its beginning is soft."""
    no_speech_s: float = 10.0
    """Nobody spoke, when nobody has by then."""
    least_s: float = 0.0
    """No turn ends before."""
    most_s: float = 120.0
    """Every turn ends by then."""
    wait_s: float = 30.0
    """Silence that a speaker is granted who asks for time."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks."""

    at_s: float
    """When this was certain."""
    speech_s: float
    """When the speech began."""
    keep_s: float
    """From when on the sound is worth keeping: ``speech_s`` less the pre-roll."""


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """A pause, or the end: time to do ahead what the end will need."""

    at_s: float
    speech_end_s: float


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was a pause."""

    at_s: float
    pause_s: float
    """How long it was."""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The speaker is through."""

    at_s: float
    speech_end_s: float


@dataclass(frozen=True, slots=True)
class TooLong:
    """The speaker is cut off, because a turn cannot last for ever."""

    at_s: float
    speech_end_s: float


@dataclass(frozen=True, slots=True)
class NobodySpoke:
    """Nobody said a word."""

    at_s: float


Decision = SpeechStarted | SpeechPaused | SpeechResumed | TurnEnded | TooLong | NobodySpoke


class _State(Enum):
    WAITING = auto()
    SPEAKING = auto()
    PAUSED = auto()
    OVER = auto()


class Endpointer:
    """Follows one turn; the next one gets a new ``Endpointer`` and the same ``Pauses``.

    Args:
        window_s: How much sound one probability stands for.
        pauses: What is known of the speaker; learns from this turn.
        rules: What counts as speech.
    """

    def __init__(self, window_s: float, pauses: Pauses, rules: TurnRules | None = None) -> None:
        self._window_s = window_s
        self._pauses = pauses
        self._rules = rules or TurnRules()
        self._min_windows = math.ceil(self._rules.min_speech_s / window_s - 1e-6)
        self._state = _State.WAITING
        self._windows = 0
        self._run_windows = 0  # of speech without a break, up to now
        self._speech_end_s = 0.0
        self._completeness: float | None = None
        self._cue: Cue | None = None

    @property
    def is_over(self) -> bool:
        """Whether the last decision has been made."""
        return self._state is _State.OVER

    @property
    def captured_s(self) -> float:
        """Seconds of sound that were judged."""
        return self._windows * self._window_s

    def add(self, probability: float) -> Decision | None:
        """Take the next window; return what it decides, which is mostly nothing. After the end it is always nothing."""
        if self.is_over:
            return None
        self._windows += 1
        rules = self._rules
        is_speech = probability >= (rules.off if self._run_windows else rules.on)
        self._run_windows = self._run_windows + 1 if is_speech else 0
        if self.captured_s >= rules.most_s:
            return self._give_up()
        match self._state:
            case _State.WAITING:
                return self._wait()
            case _State.SPEAKING:
                return self._speak()
        return self._pause()

    def judge(self, paused: SpeechPaused, completeness: float) -> Decision | None:
        """Take how likely it is, going by the sound, that the turn was over at a pause; may decide.

        Args:
            paused: The pause; one that is past makes no difference.
            completeness: What a ``TurnModel`` says.
        """
        if not self._is_now(paused):
            return None
        self._completeness = completeness
        return self._end_if_due()

    def understand(self, paused: SpeechPaused, cue: Cue) -> Decision | None:
        """Take what the words up to a pause come to; may decide. What is said of one pause later replaces it.

        Args:
            paused: The pause; one that is past makes no difference.
            cue: What ``Cues`` says of a transcript that reaches up to it.
        """
        if not self._is_now(paused):
            return None
        self._cue = cue
        return self._end_if_due()

    def _wait(self) -> Decision | None:
        now_s = self.captured_s
        if self._is_certain:
            self._state, self._speech_end_s = _State.SPEAKING, now_s
            return SpeechStarted(now_s, self._run_s, max(0.0, self._run_s - self._rules.pre_roll_s))
        if now_s >= self._rules.no_speech_s and not self._run_windows:
            self._state = _State.OVER
            return NobodySpoke(now_s)
        return None

    def _speak(self) -> Decision | None:
        now_s = self.captured_s
        if self._run_windows:
            self._speech_end_s = now_s
        elif now_s - self._speech_end_s >= self._rules.pause_s:
            self._state = _State.PAUSED
            return SpeechPaused(now_s, self._speech_end_s)
        return None

    def _pause(self) -> Decision | None:
        now_s = self.captured_s
        if self._is_certain:
            pause_s = self._run_s - self._speech_end_s
            if not self._was_asked_to_wait:  # which says nothing of how this speaker pauses
                self._pauses.went_on(pause_s)
            self._forget()
            self._state, self._speech_end_s = _State.SPEAKING, now_s
            return SpeechResumed(now_s, pause_s)
        return self._end_if_due()

    def _end_if_due(self) -> Decision | None:
        now_s = self.captured_s
        if self._run_windows or now_s < self._least_s or now_s - self._speech_end_s < self._silence_s:
            return None
        self._pauses.turn_ended()
        self._state = _State.OVER
        return TurnEnded(now_s, self._speech_end_s)

    def _give_up(self) -> Decision:
        nobody_spoke = self._state is _State.WAITING
        self._state = _State.OVER
        return NobodySpoke(self.captured_s) if nobody_spoke else TooLong(self.captured_s, self._speech_end_s)

    def _is_now(self, paused: SpeechPaused) -> bool:
        return self._state is _State.PAUSED and paused.speech_end_s == self._speech_end_s

    def _forget(self) -> None:
        self._completeness = self._cue = None

    @property
    def _silence_s(self) -> float:
        """The silence that ends the turn, as far as is known by now."""
        if self._was_asked_to_wait:
            return self._rules.wait_s
        if self._said_end_word:
            return 0.0
        return self._pauses.silence_after(
            self._completeness, is_clear_end=self._cue is not None and self._cue.is_clear_end
        )

    @property
    def _least_s(self) -> float:
        return 0.0 if self._said_end_word else self._rules.least_s

    @property
    def _was_asked_to_wait(self) -> bool:
        return self._cue is not None and self._cue.kind is CueKind.WAIT

    @property
    def _said_end_word(self) -> bool:
        return self._cue is not None and self._cue.kind is CueKind.END_WORD

    @property
    def _is_certain(self) -> bool:
        return self._run_windows >= self._min_windows

    @property
    def _run_s(self) -> float:
        """When the speech that is going on began."""
        return (self._windows - self._run_windows) * self._window_s
