"""Ogg pages out of bytes: each is whole and its checksum right; whatever is neither is skipped.

Source: RFC 3533 section 6. A damaged length field would make a reader wait for up to 64 kB that never were one page, so
every place that looks like a page is watched, and the one that is complete first wins: the next good page ends the
wait. That order is the order of arrival, so how the bytes were cut does not matter.
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from voice_mcp.codecs.progressive import MOST_LOST_BYTES
from voice_mcp.errors import NotAudio

MAGIC = b"OggS"

_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM_AT = 22
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_GRANULE = -1
_WHOLE_SEGMENT = 255


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    serial: int
    """Which logical stream it belongs to."""
    sequence: int
    granule: int | None
    """Where in that stream the last packet that ends here ends; None when none does."""
    continued: bool
    """Whether the first piece goes on with a packet of the page before."""
    first: bool
    last: bool
    pieces: tuple[bytes, ...]
    """Packets, or parts of them: the first may be an end, the last a beginning."""
    open_ended: bool
    """Whether the last piece goes on in the next page."""
    lost_bytes: int
    """Bytes in front of it that are no page."""
    end_bytes: int
    """Where in all that was read it ends."""


class PageReader:
    """Bytes in, pages out. Holds at most one page and what was given last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._base = 0  # where in the stream the buffer begins
        self._end_of_last = 0
        self._scanned = 0
        self._incomplete: list[int] = []  # places whose page header is not whole yet
        self._watched: list[tuple[int, int]] = []  # (end, begin) of what may be pages, a heap

    def read(self, data: bytes) -> Iterator[Page]:
        """The pages that are whole after these bytes.

        Raises:
            NotAudio: No page has come for ``MOST_LOST_BYTES`` bytes.
        """
        self._buffer += data
        self._watch()
        have = self._base + len(self._buffer)
        while self._watched and self._watched[0][0] <= have:
            end, begin = heapq.heappop(self._watched)
            if begin >= self._end_of_last and (page := self._page(begin, end)):
                self._end_of_last = end
                yield page
        self._forget()

    @property
    def rest_bytes(self) -> int:
        """Bytes since the last page."""
        return self._base + len(self._buffer) - self._end_of_last

    def _watch(self) -> None:
        """Find what looks like a page, and where it would end."""
        at = max(0, self._scanned - self._base)
        while (at := self._buffer.find(MAGIC, at)) >= 0:
            self._incomplete.append(self._base + at)
            at += 1
        self._scanned = max(self._scanned, self._base + len(self._buffer) - len(MAGIC) + 1)
        incomplete, self._incomplete = self._incomplete, []
        for begin in incomplete:
            size_bytes = self._size_bytes(begin - self._base)
            if size_bytes is None:
                self._incomplete.append(begin)
            elif size_bytes:
                heapq.heappush(self._watched, (begin + size_bytes, begin))

    def _size_bytes(self, at: int) -> int | None:
        """How long the page at ``at`` says it is; 0 when it is none, None until its header is whole."""
        if len(self._buffer) < at + _HEADER.size:
            return None
        if self._buffer[at + 4] != 0 or self._buffer[at + 5] > 7:
            return 0
        segments = self._buffer[at + _HEADER.size - 1]
        lacing = self._buffer[at + _HEADER.size : at + _HEADER.size + segments]
        return _HEADER.size + segments + sum(lacing) if len(lacing) == segments else None

    def _page(self, begin: int, end: int) -> Page | None:
        data = bytes(self._buffer[begin - self._base : end - self._base])
        _, _, flags, granule, serial, sequence, checksum, segments = _HEADER.unpack_from(data)
        blank = data[:_CHECKSUM_AT] + bytes(4) + data[_CHECKSUM_AT + 4 :]
        if page_checksum(blank) != checksum:
            return None
        lacing = data[_HEADER.size : _HEADER.size + segments]
        return Page(
            serial=serial,
            sequence=sequence,
            granule=None if granule == _NO_GRANULE else granule,
            continued=bool(flags & _CONTINUED),
            first=bool(flags & _FIRST),
            last=bool(flags & _LAST),
            pieces=tuple(_pieces(data, lacing)),
            open_ended=bool(lacing) and lacing[-1] == _WHOLE_SEGMENT,
            lost_bytes=begin - self._end_of_last,
            end_bytes=end,
        )

    def _forget(self) -> None:
        """Drop what no page can need any more."""
        self._incomplete = [begin for begin in self._incomplete if begin >= self._end_of_last]
        needed = [begin for _, begin in self._watched if begin >= self._end_of_last] + self._incomplete
        keep_from = max(self._base, min(needed, default=max(self._scanned, self._end_of_last)))
        del self._buffer[: keep_from - self._base]
        self._base = keep_from
        if self.rest_bytes > MOST_LOST_BYTES:
            raise NotAudio("What arrived is not Ogg audio, or damaged beyond use.")


def page_checksum(page: bytes) -> int:
    """The CRC-32 of a page whose checksum field is zero: polynomial 0x04C11DB7, most significant bit first, from 0.

    zlib has the same polynomial with the bits in the opposite order, so it is asked about mirrored bytes: as fast as C.
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def _pieces(data: bytes, lacing: bytes) -> Iterator[bytes]:
    begin = end = _HEADER.size + len(lacing)
    for segment in lacing:
        end += segment
        if segment < _WHOLE_SEGMENT:
            yield data[begin:end]
            begin = end
    if begin < end or (lacing and lacing[-1] == _WHOLE_SEGMENT):
        yield data[begin:end]
