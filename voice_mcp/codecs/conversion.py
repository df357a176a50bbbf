"""Frames of one shape as frames of another: rate and channels."""

from __future__ import annotations

from array import array

from voice_mcp.audio.downmix import downmix
from voice_mcp.codecs.resample import Resampler
from voice_mcp.types import PcmFormat


class Converter:
    """Turns a run of frames into what a device that is already open takes.

    Args:
        source: What goes in.
        target: What comes out; one channel, or as many as ``source`` has, or any number that one channel is put on.

    Raises:
        CodecMissing: The rates differ and PyAV is not installed.
    """

    def __init__(self, source: PcmFormat, target: PcmFormat) -> None:
        self._source, self._target = source, target
        self._resampler = Resampler(source.rate_hz, target.rate_hz, target.channels)

    def convert(self, frames: bytes) -> bytes:
        """Take the next whole frames; return those that are now known."""
        return self._resampler.process(self._channels(frames))

    def flush(self) -> bytes:
        """No more will come; return what is left."""
        return self._resampler.flush()

    def _channels(self, frames: bytes) -> bytes:
        if self._source.channels == self._target.channels:
            return frames
        mono = array("h", downmix(frames, self._source.channels))
        spread = array("h", bytes(len(mono) * self._target.frame_bytes))
        for channel in range(self._target.channels):
            spread[channel :: self._target.channels] = mono
        return spread.tobytes()
