"""How much sound to hand over at a time: little at first, so that it begins at once, and more as soon as that is safe.

Pure: it is told what has been given, and when; it says how many frames of 80 ms the next chunk should have.

A chunk that doubles takes twice as long to make as its predecessor takes to play, so doubling is right only for a
generator that is twice as fast as speech. How fast it is shows with the second chunk, which is as short as the first. A
slower one gets ahead by less, and its chunks grow by what it is ahead. One that is slower than speech falls behind
whatever is done: then chunks are as long as they may be, for a few pauses are better than many.
"""

from __future__ import annotations

from voice_mcp.types import PcmFormat

FORMAT = PcmFormat(rate_hz=24_000, channels=1)
"""What the library gives: the shape neural codecs work in."""
FRAME_S = 0.08
"""A frame of a neural codec. Source: Mimi, 12.5 frames a second."""
FRAME_SAMPLES = FORMAT.frames_in(FRAME_S)
MARGIN_S = 0.04
"""So much of what it is ahead is kept in hand: four periods of a sound device."""


class ChunkPlan:
    """Decides the size of one chunk after the other.

    Args:
        most_frames: The longest chunk, in frames of 80 ms.
        first_frames: The first one.
    """

    def __init__(self, most_frames: int, first_frames: int = 1) -> None:
        self._most_frames = most_frames
        self._size_frames = min(first_frames, most_frames)
        self._began_s: float | None = None
        self._given_s = 0.0
        self._last_s = 0.0
        self._pace: float | None = None

    @property
    def size_frames(self) -> int:
        """What the next chunk should have."""
        return self._size_frames

    def given(self, seconds: float, now_s: float) -> None:
        """A chunk has been handed over.

        Args:
            seconds: How long its sound is.
            now_s: When, on any clock that never goes back.
        """
        if self._began_s is None:
            self._began_s, self._given_s, self._last_s = now_s, seconds, now_s
            return
        pace = seconds / max(now_s - self._last_s, 1e-6)
        self._pace = pace if self._pace is None else (self._pace + pace) / 2
        self._last_s = now_s
        if self._began_s + self._given_s < now_s:
            self._began_s, self._given_s = now_s, 0.0  # whoever plays it has run dry, and begins anew
        self._given_s += seconds
        self._size_frames = self._next_size(self._began_s + self._given_s - now_s, self._pace)

    def _next_size(self, ahead_s: float, pace: float) -> int:
        in_time = int((ahead_s - MARGIN_S) * pace / FRAME_S)
        if pace < 1.0 and in_time < self._most_frames:
            return self._most_frames
        return max(1, min(2 * self._size_frames, self._most_frames, in_time))
