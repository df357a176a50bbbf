"""What one device hears from its opening to its loss, in the shape that everybody takes, with its moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from voice_mcp.capture.gauge import Gauge
from voice_mcp.capture.timeline import Timeline
from voice_mcp.protocols import FrameConverter
from voice_mcp.types import LISTENING_FORMAT, CapturedSound, PcmFormat

DROPPED = "the microphone dropped something"


MakeConverter = Callable[[PcmFormat, PcmFormat], FrameConverter]
"""Makes one: from which shape, to which. Called in a thread, for it may load a library."""


class Stretch:
    """The frames of one device.

    Args:
        fmt: What the device gives.
        converter: Makes ``LISTENING_FORMAT`` of it.
        gauge: Looks at all of it.
    """

    def __init__(self, fmt: PcmFormat, converter: FrameConverter, gauge: Gauge) -> None:
        self._fmt = fmt
        self._converter = converter
        self._gauge = gauge
        self._timeline = Timeline(fmt.rate_hz)
        self._given_frames = 0  # of LISTENING_FORMAT

    @property
    def end_s(self) -> float:
        """When the last frame that was given out was over."""
        return self._heard_s(self._given_frames)

    def take(self, frames: bytes, heard_at_s: float, *, after_loss: bool = False) -> Iterator[CapturedSound]:
        """Take the device's next frames; yield what is now known, with silence for what was lost before them."""
        count = self._fmt.frames(len(frames))
        missing = self._timeline.take(count, heard_at_s, after_loss=after_loss)
        if missing:
            yield self._sound(self._converter.convert(bytes(missing * self._fmt.frame_bytes)), lost=DROPPED)
        converted = self._converter.convert(frames)
        self._gauge.add(frames, converted)
        if converted:
            yield self._sound(converted)

    def finish(self) -> Iterator[CapturedSound]:
        """No more will come; yield what is left."""
        rest = self._converter.flush()
        if rest:
            yield self._sound(rest)

    def _sound(self, frames: bytes, lost: str = "") -> CapturedSound:
        sound = CapturedSound(frames, self._heard_s(self._given_frames), lost)
        self._given_frames += LISTENING_FORMAT.frames(len(frames))
        return sound

    def _heard_s(self, frame: int) -> float:
        return self._timeline.at_s(frame * self._fmt.rate_hz / LISTENING_FORMAT.rate_hz)
