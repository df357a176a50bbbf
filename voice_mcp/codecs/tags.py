"""Titles and covers around MPEG audio: ID3v2 in front, ID3v1 and APE behind. Nobody hears them, so they are skipped.

Source: id3.org, "ID3 tag version 2.4.0 - Main Structure" section 3; the ID3v1 and APEv2 layouts as taggers write them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from voice_mcp.errors import NotAudio

MOST_TAG_BYTES = 1 << 20
"""A longer tag is an attack or an album cover; speech needs neither."""
ID3V2 = b"ID3"

_ID3V2_BYTES = 10
_ID3V1_BYTES = 128
_APE = struct.Struct("<8sIIII8x")


def tag_bytes(data: bytes | bytearray, at: int) -> int | None:
    """How long the tag is that begins at ``at``; 0 when none does, None when more bytes are needed to tell.

    Raises:
        NotAudio: It claims to be longer than ``MOST_TAG_BYTES``.
    """
    for magic, header_bytes, size in _TAGS:
        have = bytes(data[at : at + header_bytes])
        if len(have) < len(magic) and magic.startswith(have):
            return None
        if have.startswith(magic):
            if len(have) < header_bytes:
                return None
            if total := size(have):
                if total > MOST_TAG_BYTES:
                    raise NotAudio("The audio begins with a tag that does not end.")
                return total
    return 0


def is_id3v2(header: bytes) -> bool:
    """Whether these 10 bytes are what an ID3v2 tag begins with."""
    return header.startswith(ID3V2) and _id3v2_size(header) > 0


def _id3v2_size(header: bytes) -> int:
    # Seven bits a byte, so that no size looks like an MPEG header.
    if len(header) < _ID3V2_BYTES or 0xFF in header[3:5] or max(header[6:10]) > 0x7F:
        return 0
    size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    footer = _ID3V2_BYTES if header[5] & 0x10 else 0
    return _ID3V2_BYTES + size + footer


def _ape_size(header: bytes) -> int:
    _, _, size, _, flags = _APE.unpack(header)
    is_header = bool(flags & 1 << 29)
    # The size counts items and footer. The footer of a tag without a header is met after the items: too late to skip
    # them, and they are found to be no frames one by one.
    return _APE.size + size if is_header else _APE.size


_TAGS: tuple[tuple[bytes, int, Callable[[bytes], int]], ...] = (
    (ID3V2, _ID3V2_BYTES, _id3v2_size),
    (b"APETAGEX", _APE.size, _ape_size),
    (b"TAG", 3, lambda _: _ID3V1_BYTES),
)
"""What a tag begins with, how much of it says how long it is, and how."""
