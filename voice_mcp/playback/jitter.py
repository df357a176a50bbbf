"""How the frames of a source come: how fast, and how unevenly. Pure: told what came and when, it has no clock.

What the source is not to blame for does not count: while nobody asked it for more, it cannot be late.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BURST_S = 0.01
"""What comes within this of a first arrival came with it: a large read reaches the player in several pieces."""
MEMORY_S = 10.0
"""Time after which an arrival weighs a third in the pace: another engine may have taken over meanwhile."""
UNSURE_S, UNSURE = 5.0, 0.05
"""Of a source slower than speech, the pace of the first so many seconds may be so much too high."""
ENOUGH_S = 0.25
"""Seconds of audio that say something of a pace."""


@dataclass(slots=True)
class _Stretch:
    """Seconds of audio that came, and the seconds it took."""

    audio_s: float = 0.0
    time_s: float = 0.0

    def fade(self, factor: float) -> None:
        self.audio_s *= factor
        self.time_s *= factor


class Jitter:
    """The arrivals of one source, told in order."""

    def __init__(self) -> None:
        self.reserve_s = 0.0
        """Seconds of audio that should have been held at the worst moment, so that nobody heard how late it came."""
        self._behind_s = 0.0  # how far the source has fallen behind its own best
        self._last_at_s: float | None = None
        self._burst = _Stretch()
        self._seen = _Stretch()
        self._longest = _Stretch()  # the longest wait of those seen, and what had come before it

    @property
    def pace(self) -> float | None:
        """Seconds of audio a second, of late; None while too little has come.

        One wait, the longest, is left out once there is enough beside it: an outage says nothing of the pace before
        and after it, and ``reserve_s`` remembers how long it was.
        """
        audio_s, time_s = self._seen.audio_s - self._longest.audio_s, self._seen.time_s - self._longest.time_s
        if audio_s < ENOUGH_S:
            audio_s, time_s = self._seen.audio_s, self._seen.time_s
        return audio_s / time_s if audio_s >= ENOUGH_S else None

    def add(self, audio_s: float, now_s: float, *, excused_s: float = 0.0) -> None:
        """Take ``audio_s`` seconds that came at ``now_s``.

        Args:
            audio_s: How long it lasts.
            now_s: When, on any clock that never goes back.
            excused_s: How much of the time since the arrival before was not the source's doing; may be more than that.
        """
        if self._last_at_s is None:
            self._last_at_s = now_s
        waited_s = max(0.0, now_s - self._last_at_s - excused_s)
        if excused_s > 0:
            self._behind_s, self._burst = 0.0, _Stretch()
        else:
            self._burst.time_s += waited_s
        # What was there before this arrival is what the ear lived on until now.
        self._behind_s += waited_s
        self.reserve_s = max(self.reserve_s, self._behind_s)
        self._behind_s = max(0.0, self._behind_s - audio_s)
        if self._burst.time_s >= BURST_S:
            self._close_burst()
        self._burst.audio_s += audio_s
        self._last_at_s = now_s

    def reserve_for(self, run_s: float) -> float:
        """Seconds of audio to hold for the next ``run_s`` seconds to be without a gap, if it goes on like this."""
        pace = self.pace
        if pace is None or pace >= 1.0:
            return self.reserve_s
        lag = 1.0 - pace + (UNSURE if self._seen.time_s < UNSURE_S else 0.0)
        return max(self.reserve_s, lag * run_s)

    def _close_burst(self) -> None:
        """A burst lasts until the next one begins: the last one is still open, and so counts for nothing yet."""
        factor = math.exp(-self._burst.time_s / MEMORY_S)
        self._seen.fade(factor)
        self._longest.fade(factor)
        self._seen.audio_s += self._burst.audio_s
        self._seen.time_s += self._burst.time_s
        if self._burst.time_s > self._longest.time_s:
            self._longest = self._burst
        self._burst = _Stretch()
