"""The mark for frames in flight, which are int16 bytes (docs/adr/0003)."""

from __future__ import annotations

from voice_mcp.samples.convert import to_frames, to_samples
from voice_mcp.types import PcmFormat
from voice_mcp.watermark.marker import PUBLIC_KEY, Watermarker


class FrameWatermarker:
    """A ``FrameConverter`` that marks a run of frames: as many come out as go in, at most 21 ms late.

    Args:
        fmt: The shape of the frames.
        key: Whoever knows it can tell the mark, and make it.
        start_s: Where in the pattern to begin.

    Raises:
        InvalidInput: A rate that has no room for a mark.
    """

    def __init__(self, fmt: PcmFormat, key: str = PUBLIC_KEY, start_s: float = 0.0) -> None:
        self._channels = fmt.channels
        self._marker = Watermarker(key, fmt.rate_hz, fmt.channels, start_s=start_s)

    def convert(self, frames: bytes) -> bytes:
        return to_frames(self._marker.process(to_samples(frames, self._channels)))

    def flush(self) -> bytes:
        return to_frames(self._marker.flush())
