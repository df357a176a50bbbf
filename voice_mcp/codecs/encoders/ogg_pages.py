"""Ogg, the envelope of Opus: packets in pages, each page with a checksum.

Our own, because the muxer of FFmpeg holds a page back until the next one is full, which doubles the delay.

Source: RFC 3533.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from voice_mcp.codecs.ogg_pages import page_checksum

_HEAD = struct.Struct("<4sBBqIIIB")
_CHECKSUM_OFFSET = 22
_FIRST, _LAST = 0x02, 0x04
_MOST_SEGMENTS = 255
_SERIAL = 1
"""Always the same: the same audio makes the same bytes, and there is one stream in a file."""


class OggPages:
    """Numbers the pages of one stream."""

    def __init__(self) -> None:
        self._pages = 0

    def page(self, packets: Sequence[bytes], granule: int, *, last: bool = False) -> bytes:
        """The next page.

        Args:
            packets: The packets in it, at most 65,025 bytes with their lengths; a page holds whole packets here.
            granule: The position in the audio at the end of the page, in the codec's own units.
            last: No page will follow.
        """
        lengths = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
        assert len(lengths) <= _MOST_SEGMENTS
        flags = (_FIRST if self._pages == 0 else 0) | (_LAST if last else 0)
        head = _HEAD.pack(b"OggS", 0, flags, granule, _SERIAL, self._pages, 0, len(lengths))
        page = bytearray(b"".join((head, lengths, *packets)))
        struct.pack_into("<I", page, _CHECKSUM_OFFSET, page_checksum(bytes(page)))
        self._pages += 1
        return bytes(page)
