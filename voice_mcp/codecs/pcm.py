"""Raw PCM: signed 16-bit little-endian, as speech endpoints send it."""

from __future__ import annotations

from voice_mcp.types import PcmFormat


class FrameCutter:
    """Passes whole frames on and holds back what is not one yet.

    Args:
        frame_bytes: Bytes of one frame.
    """

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._rest = b""

    def cut(self, data: bytes) -> bytes:
        """Take the next bytes; return the frames that are whole, without a copy when nothing is left over."""
        if self._rest:
            data = self._rest + data
        odd = len(data) % self._frame_bytes
        self._rest = data[len(data) - odd :]
        return data[: len(data) - odd] if odd else data


class PcmDecoder:
    """A ``Decoder`` that has nothing to decode.

    Args:
        fmt: The shape of the bytes; raw PCM does not say it itself.
    """

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._cutter = FrameCutter(fmt.frame_bytes)
        self.decode_errors = 0

    @property
    def format(self) -> PcmFormat | None:
        return self._format

    def decode(self, data: bytes) -> bytes:
        return self._cutter.cut(data)

    def flush(self) -> bytes:
        # Half a frame at the end is no sound and no error: some servers send one.
        return b""
