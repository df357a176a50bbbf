"""RIFF/WAVE, read as it arrives: header first, then frames, whatever the size fields claim.

Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), and the
WAVE_FORMAT_EXTENSIBLE description of Microsoft's mmreg.h. Servers that stream do not know the length when they write
the header, so they put 0, 0x7FFFFFFF or 0xFFFFFFFF there: such a size means "until the stream ends".
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable

from voice_mcp.codecs.pcm import FrameCutter
from voice_mcp.errors import NotAudio, UnsupportedFormat
from voice_mcp.types import PcmFormat

FORMAT_PCM = 0x0001
FORMAT_FLOAT = 0x0003
FORMAT_EXTENSIBLE = 0xFFFE
UNKNOWN_SIZE = 0x7FFF0000
"""Data sizes from here on, and 0, are placeholders: no speech lasts half a day."""
HEADER_LIMIT_BYTES = 1 << 20
"""A header longer than this is an attack or an album cover; speech needs neither."""
MOST_CHANNELS = 8
RATES_HZ = range(4_000, 192_001)

_CHUNK = struct.Struct("<4sI")
_FMT = struct.Struct("<HHIIHH")


class WavDecoder:
    """A ``Decoder`` for WAV; 8, 16, 24 and 32 bit integers and 32 bit floats come out as 16 bit."""

    def __init__(self) -> None:
        self._header: bytearray | None = bytearray()
        self._parsed_bytes = 12
        self._format: PcmFormat | None = None
        self._convert: Callable[[bytes], bytes] = bytes
        self._cutter: FrameCutter | None = None
        self._left_bytes: int | None = None
        self.decode_errors = 0

    @property
    def format(self) -> PcmFormat | None:
        return self._format

    def decode(self, data: bytes) -> bytes:
        if self._header is None:
            return self._frames(data)
        self._header += data
        start = self._parse()
        if (len(self._header) if start is None else start) > HEADER_LIMIT_BYTES:
            raise NotAudio("The WAV header does not end.")
        if start is None:
            return b""
        first, self._header = bytes(self._header[start:]), None
        return self._frames(first)

    def flush(self) -> bytes:
        if self._header:
            raise NotAudio("The WAV audio ended inside its header.")
        return b""

    def _frames(self, data: bytes) -> bytes:
        assert self._cutter is not None
        if self._left_bytes is not None:
            data = data[: self._left_bytes]  # what follows are other chunks: notes, titles
            self._left_bytes -= len(data)
        return self._convert(self._cutter.cut(data))

    def _parse(self) -> int | None:
        """Read the header as far as it is there; the offset of the first frame once all of it is."""
        header = self._header
        assert header is not None
        if len(header) < 12:
            return None
        if bytes(header[:4]) not in (b"RIFF", b"RF64") or header[8:12] != b"WAVE":
            raise NotAudio("What arrived is not WAV audio.")
        while len(header) >= self._parsed_bytes + _CHUNK.size:
            name, size = _CHUNK.unpack_from(header, self._parsed_bytes)
            offset = self._parsed_bytes + _CHUNK.size
            if name == b"data":
                return self._begin_data(size, offset)
            if len(header) < offset + size:
                return None
            if name == b"fmt ":
                self._read_format(bytes(header[offset : offset + size]))
            self._parsed_bytes = offset + size + size % 2
        return None

    def _begin_data(self, size: int, offset: int) -> int:
        if self._format is None:
            raise NotAudio("The WAV audio does not say its format.")
        self._left_bytes = size if 0 < size < UNKNOWN_SIZE else None
        return offset

    def _read_format(self, chunk: bytes) -> None:
        if len(chunk) < _FMT.size:
            raise NotAudio("The WAV audio does not say its format.")
        tag, channels, rate_hz, _, frame_bytes, bits = _FMT.unpack_from(chunk)
        if tag == FORMAT_EXTENSIBLE and len(chunk) >= 26:
            tag = int.from_bytes(chunk[24:26], "little")
        convert = _CONVERTERS.get((tag, bits))
        if convert is None:
            raise UnsupportedFormat(f"WAV audio of type {tag} with {bits} bits is not supported.")
        if not 1 <= channels <= MOST_CHANNELS or rate_hz not in RATES_HZ or frame_bytes != channels * bits // 8:
            raise NotAudio(f"The WAV header makes no sense ({channels} channels, {rate_hz} Hz).")
        self._format = PcmFormat(rate_hz, channels)
        self._convert = convert
        self._cutter = FrameCutter(frame_bytes)


def _from_unsigned_8(data: bytes) -> bytes:
    out = bytearray(2 * len(data))
    out[1::2] = data.translate(_FLIP_SIGN)
    return bytes(out)


def _from_signed_24(data: bytes) -> bytes:
    out = bytearray(len(data) // 3 * 2)
    out[0::2], out[1::2] = data[1::3], data[2::3]
    return bytes(out)


def _from_signed_32(data: bytes) -> bytes:
    out = bytearray(len(data) // 2)
    out[0::2], out[1::2] = data[2::4], data[3::4]
    return bytes(out)


def _from_float_32(data: bytes) -> bytes:
    return array("h", map(_to_16_bit, array("f", data))).tobytes()


def _to_16_bit(sample: float) -> int:
    if math.isnan(sample):
        return 0
    return round(max(-1.0, min(1.0, sample)) * 32767)


_FLIP_SIGN = bytes(value ^ 0x80 for value in range(256))
_CONVERTERS: dict[tuple[int, int], Callable[[bytes], bytes]] = {
    (FORMAT_PCM, 8): _from_unsigned_8,
    (FORMAT_PCM, 16): bytes,
    (FORMAT_PCM, 24): _from_signed_24,
    (FORMAT_PCM, 32): _from_signed_32,
    (FORMAT_FLOAT, 32): _from_float_32,
}
"""(format tag, bits per sample) to what turns such samples into 16-bit ones."""
