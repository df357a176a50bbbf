"""How long a speaker may be silent and still have the floor: what is known of the pauses this one makes.

People differ by a factor of five in how long they think in the middle of a sentence, and each keeps to a manner. So
what ends a turn is a silence clearly longer than the pauses this speaker goes on from. It begins with what is
configured, and moves with every pause that turns out to have been one; a turn without any makes it a little shorter.

How somebody fell silent, and with which words, makes it shorter or longer for that one pause.

The numbers were chosen on the tuning parts of the corpora (benchmarks/README.md, ``endpointing``).
"""

from __future__ import annotations

from enum import Enum

USUAL_SILENCE_S = 2.0
"""What a speaker is granted of whom nothing is known: shorter ones cut off those who think longest, right away."""
STRETCH = 1.8
MARGIN_S = 0.4
"""A silence ends the turn when it is longer than the usual pause by this factor, and the margin."""
LEARNING = 0.4
"""How far a pause moves the usual one towards itself."""
LEARNING_WITHOUT_PAUSE = 0.02
"""How far a turn without a pause moves it towards none: it says little, short answers have none."""
SHORTEST_SHARE = 0.5
LONGEST_SHARE = 1.5
"""The silence that ends a turn stays within these shares of the configured one, whatever was learnt."""

OPEN = 0.5
"""Up to this completeness a turn sounds as if it went on; more is granted then."""
OPEN_SHARE = 1.5
COMPLETE = 0.97
"""From here on it sounds as if it were over; in between it is as in between."""
SURE = 0.9
"""Sounding like this, a whole answer needs no more silence than it takes to know; less sure, in proportion more."""
CLEAR_END_S = 0.5
"""What is waited for after a whole answer, without having heard how it was said; the most that is, if it does not
sound open."""
SHORTEST_S = 0.15
"""Less silence is no pause."""


class Eagerness(Enum):
    """How soon a turn is taken to be over that sounds complete: the share of the silence that is waited for then."""

    CAREFUL = 0.9
    BALANCED = 0.6
    QUICK = 0.3


class Pauses:
    """The pauses of one speaker, turn after turn. Pure: told what happened, it has no clock.

    Args:
        silence_s: The silence that ends the turn of a speaker of whom nothing is known.
        eagerness: What it changes that a turn sounds complete.
    """

    def __init__(self, silence_s: float = USUAL_SILENCE_S, eagerness: Eagerness = Eagerness.CAREFUL) -> None:
        self._configured_s = silence_s
        self._complete_share = eagerness.value
        self._usual_s = max(0.0, (silence_s - MARGIN_S) / STRETCH)
        self._turn_has_pause = False

    @property
    def silence_s(self) -> float:
        """The silence that ends the turn, when no more than silence is known of it."""
        learnt_s = self._usual_s * STRETCH + MARGIN_S
        return min(max(learnt_s, SHORTEST_SHARE * self._configured_s), LONGEST_SHARE * self._configured_s)

    def silence_after(self, completeness: float | None, *, is_clear_end: bool = False) -> float:
        """The silence that ends the turn, when more is known of it.

        Args:
            completeness: How likely it sounds that the turn is over; None when nobody has judged it.
            is_clear_end: Whether its words are a whole answer.
        """
        silence_s = self.silence_s if completeness is None else self._sounding(completeness)
        if not is_clear_end or (completeness is not None and completeness <= OPEN):
            return silence_s
        return min(silence_s, CLEAR_END_S if completeness is None else _after_whole_answer(completeness))

    def _sounding(self, completeness: float) -> float:
        closed = min(max((completeness - OPEN) / (COMPLETE - OPEN), 0.0), 1.0)
        share = OPEN_SHARE + closed * (self._complete_share - OPEN_SHARE)
        return min(max(share * self.silence_s, SHORTEST_S), LONGEST_SHARE * self._configured_s)

    def went_on(self, pause_s: float) -> None:
        """The speaker was silent for ``pause_s`` and went on; also said of an end that turned out to be none."""
        self._turn_has_pause = True
        self._usual_s += LEARNING * (pause_s - self._usual_s)

    def turn_ended(self) -> None:
        """The speaker is through."""
        if not self._turn_has_pause:
            self._usual_s -= LEARNING_WITHOUT_PAUSE * self._usual_s
        self._turn_has_pause = False


def _after_whole_answer(completeness: float) -> float:
    """The silence that ends a whole answer which sounds like this, more complete than ``OPEN``."""
    sure = min((completeness - OPEN) / (SURE - OPEN), 1.0)
    return CLEAR_END_S + sure * (SHORTEST_S - CLEAR_END_S)
