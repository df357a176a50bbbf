"""Raw PCM: what goes in comes out."""

from __future__ import annotations

from voice_mcp.codecs.encoders.base import EncodingJob


class PcmEncoder:
    """An ``Encoder`` that has nothing to encode; a frame is out before the call returns."""

    def __init__(self, job: EncodingJob) -> None:
        self._job = job

    @property
    def rate_hz(self) -> int:
        return self._job.fmt.rate_hz

    def encode(self, frames: bytes) -> None:
        self._job.output.write(frames)

    def finish(self) -> None:
        """Nothing was held back."""

    def abandon(self) -> None:
        """Nothing was held back."""
