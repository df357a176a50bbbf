"""Ogg streams taken apart and put together again."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

from voice_mcp.codecs.ogg_pages import page_checksum


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page whose fields can be changed; ``data`` makes it valid again."""

    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: bytes

    def data(self) -> bytes:
        head = struct.pack("<4sBBqII", b"OggS", 0, self.flags, self.granule, self.serial, self.sequence)
        tail = bytes([len(self.lacing)]) + self.lacing + self.body
        checksum = page_checksum(head + bytes(4) + tail)
        return head + struct.pack("<I", checksum) + tail


def split(data: bytes) -> list[RawPage]:
    """The pages of a stream that is whole."""
    pages, at = [], 0
    while at < len(data):
        _, _, flags, granule, serial, sequence, _, segments = struct.unpack_from("<4sBBqIIIB", data, at)
        lacing = data[at + 27 : at + 27 + segments]
        begin = at + 27 + segments
        at = begin + sum(lacing)
        pages.append(RawPage(flags, granule, serial, sequence, lacing, data[begin:at]))
    return pages


def join(pages: Iterable[RawPage]) -> bytes:
    return b"".join(page.data() for page in pages)


def renumbered(pages: Iterable[RawPage]) -> list[RawPage]:
    """The same pages, with nothing missing between them."""
    return [replace(page, sequence=sequence) for sequence, page in enumerate(pages)]
