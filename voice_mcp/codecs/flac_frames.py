"""FLAC frame headers and checksums, so that a frame can be cut out as soon as the next one begins.

Source: RFC 9639 sections 8.2 (STREAMINFO), 9.1 (frame header) and 9.3 (frame footer). FFmpeg's own parser waits for
about ten frames before it is sure; a header with a right CRC-8 that carries the next number is as sure with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

MOST_HEADER_BYTES = 16
STREAMINFO_BYTES = 34

_SIZES = (0, 192, 576, 1152, 2304, 4608, -1, -2, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
"""Block sizes by code; 0 is reserved, below it: so many bytes behind the number say it."""
_RATES_HZ = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the STREAMINFO block says that matters before the frames."""

    block_samples: int
    """Samples per channel in every block but the last; 0 when they differ."""
    rate_hz: int

    @classmethod
    def parse(cls, block: bytes) -> StreamInfo:
        """Read a block of ``STREAMINFO_BYTES`` bytes."""
        least, most = int.from_bytes(block[:2], "big"), int.from_bytes(block[2:4], "big")
        return cls(least if least == most else 0, int.from_bytes(block[10:13], "big") >> 4)


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What a frame header says."""

    first_sample: int
    """Where in the stream the frame begins, in samples per channel."""
    samples: int
    """Samples per channel in it."""


class FlacHeaderReader:
    """Reads frame headers of one stream.

    Args:
        info: Its STREAMINFO.
    """

    def __init__(self, info: StreamInfo) -> None:
        self._info = info
        self._block_samples = info.block_samples

    def read(self, data: bytes | bytearray, at: int) -> FlacHeader | None:
        """The header that begins at ``at``, where ``MOST_HEADER_BYTES`` bytes are, or all there will ever be."""
        head = bytes(data[at : at + MOST_HEADER_BYTES])
        if len(head) < 6 or not _may_be_header(head):
            return None
        number, end = _coded_number(head, 4)
        if number is None:
            return None
        samples, end = _block_samples(head, end)
        rate_hz, end = _rate_hz(head, end)
        if end >= len(head) or samples == 0 or crc8(head[:end]) != head[end]:
            return None
        if rate_hz not in (0, self._info.rate_hz):
            return None
        if head[1] & 1:
            return FlacHeader(number, samples)
        # In a stream of equal blocks the number counts blocks; a STREAMINFO that does not say how long they are is
        # completed by the first frame.
        self._block_samples = self._block_samples or samples
        return FlacHeader(number * self._block_samples, samples)


class Crc16:
    """The checksum at the end of a frame: polynomial 0x8005, most significant bit first."""

    @cached_property
    def _table(self) -> tuple[int, ...]:
        return tuple(_crc_of_byte(value << 8, 0x8005, 16) for value in range(256))

    def ends(self, data: bytes) -> list[int]:
        """Where a frame that begins with ``data`` can end: behind each byte that makes the checksum come out even."""
        crc, table, ends = 0, self._table, []
        for index, byte in enumerate(data, 1):
            crc = (crc << 8 & 0xFF00) ^ table[crc >> 8 ^ byte]
            if not crc:
                ends.append(index)
        return ends


def crc8(data: bytes) -> int:
    """The checksum at the end of a frame header: polynomial 0x07."""
    crc = 0
    for byte in data:
        crc = _crc_of_byte(crc ^ byte, 0x07, 8)
    return crc


def _crc_of_byte(crc: int, polynomial: int, width: int) -> int:
    top, mask = 1 << width - 1, (1 << width) - 1
    for _ in range(8):
        crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
    return crc


def _may_be_header(head: bytes) -> bool:
    sync = head[0] == 0xFF and head[1] & 0xFE == 0xF8
    size, rate, channels, bits = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    return sync and size != 0 and rate != 15 and channels <= 10 and bits != 3 and not head[3] & 1


def _coded_number(head: bytes, at: int) -> tuple[int | None, int]:
    """The number that is written as UTF-8 writes characters, up to 36 bits; and the offset behind it."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    length = 8 - (first ^ 0xFF).bit_length()
    rest = head[at + 1 : at + length]
    if not 2 <= length <= 7 or len(rest) < length - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, at
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, at + length


def _block_samples(head: bytes, at: int) -> tuple[int, int]:
    samples = _SIZES[head[2] >> 4]
    if samples >= 0:
        return samples, at
    return int.from_bytes(head[at : at - samples], "big") + 1, at - samples


def _rate_hz(head: bytes, at: int) -> tuple[int, int]:
    code = head[2] & 15
    if code < len(_RATES_HZ):
        return _RATES_HZ[code], at
    size_bytes, unit_hz = {12: (1, 1000), 13: (2, 1), 14: (2, 10)}[code]
    return int.from_bytes(head[at : at + size_bytes], "big") * unit_hz, at + size_bytes
