"""How long a speaker may be silent and still have the floor: what is known of the pauses this one makes.

People differ by a factor of five in how long they think in the middle of a sentence, and each keeps to a manner. So
what ends a turn is a silence clearly longer than the pauses this speaker goes on from. It begins with what is
configured, and moves with every pause that turns out to have been one; a turn without any makes it a little shorter.

The numbers were chosen on the tuning part of the corpus (benchmarks/README.md, ``endpointing``).
"""

from __future__ import annotations

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


class Pauses:
    """The pauses of one speaker, turn after turn. Pure: told what happened, it has no clock.

    Args:
        silence_s: The silence that ends the turn of a speaker of whom nothing is known.
    """

    def __init__(self, silence_s: float = USUAL_SILENCE_S) -> None:
        self._configured_s = silence_s
        self._usual_s = max(0.0, (silence_s - MARGIN_S) / STRETCH)
        self._turn_has_pause = False

    @property
    def silence_s(self) -> float:
        """The silence that ends the turn."""
        learnt_s = self._usual_s * STRETCH + MARGIN_S
        return min(max(learnt_s, SHORTEST_SHARE * self._configured_s), LONGEST_SHARE * self._configured_s)

    def went_on(self, pause_s: float) -> None:
        """The speaker was silent for ``pause_s`` and went on; also said of an end that turned out to be none."""
        self._turn_has_pause = True
        self._usual_s += LEARNING * (pause_s - self._usual_s)

    def turn_ended(self) -> None:
        """The speaker is through."""
        if not self._turn_has_pause:
            self._usual_s -= LEARNING_WITHOUT_PAUSE * self._usual_s
        self._turn_has_pause = False
