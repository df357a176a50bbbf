"""What MP3 and AAC in ADTS have in common: a row of frames, each behind a header of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from voice_mcp.codecs._av import PacketDecoder
from voice_mcp.codecs.progressive import ProgressiveDecoder
from voice_mcp.codecs.sync_frames import Frame, Gap, SyncFrameCutter
from voice_mcp.types import PcmFormat


class SyncDecoder(ProgressiveDecoder):
    """Cuts the stream into frames and has them decoded, one after the other.

    Args:
        encoding: What the stream is called in messages.
        cutter: Finds its frames.
        codec: What FFmpeg calls the decoder of one frame.
    """

    def __init__(self, encoding: str, cutter: SyncFrameCutter, codec: str) -> None:
        super().__init__(encoding)
        self._cutter = cutter
        self._packets = PacketDecoder(codec, encoding)

    @property
    def format(self) -> PcmFormat | None:
        return self._packets.format

    def _frames(self, data: bytes) -> Iterator[bytes]:
        for found in self._cutter.cut(data):
            yield self._found(found)

    def _last_frames(self) -> Iterator[bytes]:
        for found in self._cutter.finish():
            yield self._found(found)
        yield self._packets.flush()

    def _found(self, found: Frame | Gap) -> bytes:
        if isinstance(found, Gap):
            self._note_damage(f"{found.size_bytes} bytes are no frame", found.size_bytes)
            return b""
        return self._frame(found)

    @abstractmethod
    def _frame(self, found: Frame) -> bytes:
        """What one frame sounds like."""
