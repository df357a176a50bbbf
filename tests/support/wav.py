"""WAV files as servers really send them, true sizes or not."""

from __future__ import annotations

import struct
from typing import Literal

from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

SPEECH_FORMAT = PcmFormat(rate_hz=24_000, channels=1)
"""What speech endpoints send as ``pcm``."""

DataSize = Literal["exact"] | int
"""What the header claims. Servers that stream cannot know: they send 0, 0xFFFFFFFF or 0x7FFFFFFF."""


def wav(
    pcm: bytes, fmt: PcmFormat = SPEECH_FORMAT, *, data_size: DataSize = "exact", extra_chunk: bytes | None = None
) -> bytes:
    """A RIFF WAVE file of signed 16-bit frames.

    Args:
        pcm: The frames.
        fmt: Their shape.
        data_size: What the ``data`` chunk claims to hold; the RIFF size is made to match where it can.
        extra_chunk: The content of a ``LIST`` chunk between ``fmt `` and ``data``.
    """
    claimed = len(pcm) if data_size == "exact" else data_size
    block_bytes = fmt.frame_bytes
    shape = struct.pack(
        "<HHIIHH", 1, fmt.channels, fmt.rate_hz, fmt.rate_hz * block_bytes, block_bytes, 8 * BYTES_PER_SAMPLE
    )
    chunks = _chunk(b"fmt ", shape)
    if extra_chunk is not None:
        chunks += _chunk(b"LIST", extra_chunk)
    before_data = 4 + len(chunks) + 8
    riff_size = min(before_data + claimed, 0xFFFFFFFF) if claimed else 0
    odd = b"\0" if data_size == "exact" and len(pcm) % 2 else b""
    return b"RIFF" + struct.pack("<I", riff_size) + b"WAVE" + chunks + b"data" + struct.pack("<I", claimed) + pcm + odd


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk, padded to an even size as RIFF wants it."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
