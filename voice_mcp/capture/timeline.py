"""When each frame was heard. Pure: it is told what the microphone says.

A microphone's clock and ours run apart by a few parts in a hundred thousand, and the moments that a sound system tells
are off by some milliseconds either way. So the frames are laid end to end, and the line they form is drawn slowly
towards what is told. What is told too late by far was held up, or has a hole before it; what is told too early by far
shows that the line itself began too late.
"""

from __future__ import annotations

from collections import deque

SLEW_S = 2.0
"""In what time the line follows what is told, by two thirds."""
FAR_S = 0.1
"""No clock is off by so much."""
SURE_S = 1.0
"""A line that is far behind for this long has a hole in it: what was only held up makes up for it sooner."""
TOLD_HOLE_S = 0.005
"""The same for a loss that was told."""
LONGEST_HOLE_S = 60.0
"""No hole is made longer: after hours in which a process was stopped nobody is served by hours of silence."""


class Timeline:
    """The frames of one device from its opening on.

    Args:
        rate_hz: Frames per second.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._frames = 0
        self._origin_s: float | None = None  # when frame 0 was heard
        self._late: deque[tuple[int, float]] = deque()  # what was told of the blocks before which a hole may be
        self._was_early = False

    def take(self, frames: int, heard_at_s: float, *, after_loss: bool = False) -> int:
        """Take the next frames, heard from ``heard_at_s`` on.

        Args:
            frames: How many there are.
            heard_at_s: When the first of them was heard, as it was told.
            after_loss: Whether some before them were lost.

        Returns:
            How many frames are missing before them, up to ``LONGEST_HOLE_S``. They count as taken, and end with the
            first of these; what was before them has then another moment than it had.
        """
        missing = 0
        told_s = heard_at_s - self._frames / self._rate_hz
        if self._origin_s is None:
            self._origin_s = told_s
        late_s = told_s - self._origin_s
        if after_loss and late_s >= TOLD_HOLE_S:
            missing = self._skip(late_s)
        elif late_s >= FAR_S:
            missing = self._suspect(frames, late_s)
        else:
            self._late.clear()
            self._origin_s += late_s if self._is_wrong(late_s) else late_s * min(1.0, frames / self._rate_hz / SLEW_S)
        self._frames += frames
        return missing

    def at_s(self, frame: float) -> float:
        """When a frame was heard, or will have been."""
        return (self._origin_s or 0.0) + frame / self._rate_hz

    @property
    def end_s(self) -> float:
        """When the last frame that was taken was over."""
        return self.at_s(self._frames)

    def _is_wrong(self, late_s: float) -> bool:
        """Whether the line began too late: one that is told too early by far may be a mistake, two are not."""
        was_early, self._was_early = self._was_early, late_s <= -FAR_S
        return was_early and self._was_early

    def _suspect(self, frames: int, late_s: float) -> int:
        self._late.append((self._frames, late_s))
        if self._frames + frames - self._late[0][0] < SURE_S * self._rate_hz:
            return 0
        return self._skip(min(late for _, late in self._late))

    def _skip(self, late_s: float) -> int:
        """There is a hole: the frames go on after it. What it has beyond the longest moves the line itself."""
        assert self._origin_s is not None
        self._late.clear()
        hole_s = min(late_s, LONGEST_HOLE_S)
        self._origin_s += late_s - hole_s
        missing = round(hole_s * self._rate_hz)
        self._frames += missing
        return missing
