"""Whether somebody interrupts: probabilities of speech while the agent speaks in, decisions out. Pure: it has no clock.

    WATCHING ── speech for 200 ms ─▶ INTERRUPTED ── words ─▶ over
       ▲                                  │
       └──── a short burst, or no words ──┘

All times are seconds on the clock of ``Clock.now``, taken from when the sound was captured, so whatever makes the
capture late cannot make a decision wrong.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from statistics import fmean

CONFIRM_S = 0.2
"""Speech that lasts this long is an interruption: longer than a click, a knock, most coughs; and still at once."""


@dataclass(frozen=True, slots=True)
class InterruptionRules:
    """What counts as speech, and what as none after all."""

    on: float = 0.5
    """Probability at which speech begins."""
    off: float = 0.35
    """Probability below which it stops: lower, so that a soft syllable does not end it."""
    sure: float = 0.8
    """The mean probability of its windows at which speech is certain."""
    dip_windows: int = 1
    """Windows within the first 200 ms that may fall below."""
    burst_s: float = 0.3
    """Speech that was shorter in all, and after which there is silence, was a noise: a short word is hardly shorter."""
    silence_s: float = 0.6
    """How long that silence is."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody speaks: silence the agent, and keep what is said."""

    at_s: float
    """When this was certain."""
    speech_s: float
    """When the speech began: everything is kept from the pre-roll before it on."""


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """Nobody said a word: the agent goes on from where it was stopped."""

    at_s: float
    speech_s: float
    """When began what was taken for speech."""
    speech_end_s: float


Decision = Interrupted | FalseAlarm


class _State(Enum):
    WATCHING = auto()
    INTERRUPTED = auto()
    OVER = auto()


class Interruption:
    """Follows one stretch of the agent's speech; the next one gets a new ``Interruption``.

    Args:
        window_s: How much sound one probability stands for.
        rules: What counts as speech.
    """

    def __init__(self, window_s: float, rules: InterruptionRules | None = None) -> None:
        self._window_s = window_s
        self._rules = rules or InterruptionRules()
        self._confirm_windows = max(1, round(CONFIRM_S / window_s))
        self._run: deque[bool] = deque()  # since what may be speech began: which windows are
        self._newest: deque[float] = deque(maxlen=self._confirm_windows)  # of the windows that are
        self._state = _State.WATCHING
        self._now_s = self._speech_s = self._speech_end_s = 0.0

    @property
    def is_over(self) -> bool:
        """Whether words came: what follows is for the end of the turn to decide."""
        return self._state is _State.OVER

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody is speaking, as far as is known."""
        return self._state is not _State.WATCHING

    @property
    def speech_end_s(self) -> float:
        """When the speech that interrupts was last heard; meaningless where nobody interrupts."""
        return self._speech_end_s

    def add(self, at_s: float, probability: float, *, is_echo: bool = False) -> Decision | None:
        """Take the next window; return what it decides, which is mostly nothing.

        Args:
            at_s: When the window began.
            probability: That somebody speaks in it.
            is_echo: Whether what sounds like speech here is most likely the agent's own.
        """
        self._now_s = at_s + self._window_s
        # While it is not certain yet, a dip does not make the first syllable begin anew.
        goes_on = bool(self._run) and (self._run[-1] or self._state is _State.WATCHING)
        is_speech = probability >= (self._rules.off if goes_on else self._rules.on)
        if is_speech:
            self._newest.append(probability)
        if self._state is _State.WATCHING:
            return self._watch(is_speech, is_echo=is_echo)
        if self._state is _State.INTERRUPTED:
            return self._follow(is_speech)
        return None

    def break_off(self) -> None:
        """What follows comes after a gap in the sound: what is not certain yet begins anew."""
        if self._state is _State.WATCHING:
            self._run.clear()
            self._newest.clear()

    def words_came(self) -> None:
        """The owner knows that words were said: it is an interruption for good."""
        self._state = _State.OVER

    def no_words_came(self) -> FalseAlarm | None:
        """The owner knows that none were said; None where there is no interruption that could be taken back."""
        return self._take_back() if self._state is _State.INTERRUPTED else None

    def _watch(self, is_speech: bool, *, is_echo: bool) -> Decision | None:
        self._run.append(is_speech)
        while self._run and (not self._run[0] or self._has_too_many_dips or self._is_too_long):
            self._run.popleft()
        if is_echo or not is_speech or not self._is_certain:
            return None
        self._state = _State.INTERRUPTED
        self._speech_s = self._now_s - len(self._run) * self._window_s
        self._speech_end_s = self._now_s
        return Interrupted(self._now_s, self._speech_s)

    @property
    def _is_certain(self) -> bool:
        return self._run.count(True) >= self._confirm_windows and fmean(self._newest) >= self._rules.sure

    @property
    def _has_too_many_dips(self) -> bool:
        return self._run.count(False) > self._rules.dip_windows

    @property
    def _is_too_long(self) -> bool:
        """What has been taken for an echo all that time did not begin with what is taken for speech now."""
        return len(self._run) > 2 * self._confirm_windows

    def _follow(self, is_speech: bool) -> Decision | None:
        self._run.append(is_speech)
        self._run.popleft()
        if is_speech:
            self._speech_end_s = self._now_s
        was_short = self._speech_end_s - self._speech_s < self._rules.burst_s
        if was_short and self._now_s - self._speech_end_s >= self._rules.silence_s:
            return self._take_back()
        return None

    def _take_back(self) -> FalseAlarm:
        self._state = _State.WATCHING
        self._run.clear()
        return FalseAlarm(self._now_s, self._speech_s, self._speech_end_s)
