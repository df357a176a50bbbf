"""The way of the frames to one device: what it gets of them, and what its positions mean."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

from voice_mcp.protocols import FrameConverter
from voice_mcp.types import PcmFormat

FADE_IN_S = 0.005
"""With how long a fade sound goes on after it was cut off: too short to be heard as one, too long for a click."""


MakeConverter = Callable[[PcmFormat, PcmFormat, float], FrameConverter]
"""Makes one: from which shape, to which, and where the voice sits (-1 left, 0 middle, 1 right)."""


class Passage:
    """Frames go in as they were handed over, and come out as one device takes them.

    Args:
        source: What goes in.
        target: What the device takes.
        start_frame: With which frame of the whole it begins. If that is not the first, it fades in.
        converter: Makes one of the other; None where they are the same, and not a bit changes.
    """

    def __init__(
        self, source: PcmFormat, target: PcmFormat, start_frame: int = 0, converter: FrameConverter | None = None
    ) -> None:
        self._source, self._target = source, target
        self._start_frame = start_frame
        self._converter = converter
        self._fade_in = _fade_in(source.frames_in(FADE_IN_S)) if start_frame else array("f")
        self._taken_frames = 0
        self._given_frames = 0
        self._finished = False

    def forward(self, frames: bytes) -> bytes:
        """Take the next whole frames; return what the device gets, which may be nothing yet."""
        self._taken_frames += self._source.frames(len(frames))
        if self._fade_in:
            frames = self._faded(frames)
        return self._given(self._converter.convert(frames) if self._converter is not None else frames)

    def finish(self) -> bytes:
        """No more will come; return what the device gets besides. Asked again, there is nothing."""
        if self._finished:
            return b""
        self._finished = True
        return self._given(self._converter.flush() if self._converter is not None else b"")

    def frame_of(self, device_frame: int) -> int:
        """Which frame of the whole the device's frame is: right to one frame, and exact at the end."""
        if self._finished and device_frame >= self._given_frames:
            return self._start_frame + self._taken_frames
        frames = round(device_frame * self._source.rate_hz / self._target.rate_hz)
        return self._start_frame + min(frames, self._taken_frames)

    def _given(self, frames: bytes) -> bytes:
        self._given_frames += self._target.frames(len(frames))
        return frames

    def _faded(self, frames: bytes) -> bytes:
        samples, channels = array("h", frames), self._source.channels
        count = min(len(self._fade_in), len(samples) // channels)
        for index in range(count * channels):
            samples[index] = round(samples[index] * self._fade_in[index // channels])
        self._fade_in = self._fade_in[count:]
        return samples.tobytes()


def _fade_in(frames: int) -> array[float]:
    """Raised-cosine gains from 0 towards 1, one per frame."""
    return array("f", ((1 - math.cos(math.pi * (index + 1) / (frames + 1))) / 2 for index in range(frames)))
