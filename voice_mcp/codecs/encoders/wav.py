"""WAV: a header, then the frames as they are.

In a stream the header cannot know the size. 0xFFFFFFFF is what the most readers take as "to the end": with 0, the
standard library, libsndfile and miniaudio find no audio at all (measured). In a file the sizes are exact in the end,
and room is kept for a ``ds64`` chunk, which holds 64-bit sizes when the audio passes 4 GiB.

Source: EBU Tech 3306 v1.1 (RF64); Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"
(RIFF, WAVE, LIST INFO).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from voice_mcp.audio.wav import wav_header
from voice_mcp.codecs.encoders.base import EncodingJob
from voice_mcp.codecs.encoders.tags import with_unknown_in_comment
from voice_mcp.types import PcmFormat

UNKNOWN_SIZE = 0xFFFFFFFF
_CHUNK = struct.Struct("<4sI")
_DS64 = struct.Struct("<QQQI")
_INFO_NAMES = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "comment": b"ICMT",
    "copyright": b"ICOP",
    "date": b"ICRD",
    "genre": b"IGNR",
    "language": b"ILNG",
    "software": b"ISFT",
    "track": b"ITRK",
}


class WavEncoder:
    """An ``Encoder`` for WAV; a frame is out before the call returns."""

    def __init__(self, job: EncodingJob) -> None:
        self._job = job
        self._info = _info_chunk(job.tags)
        self._data_bytes = 0
        promised_bytes = None if job.frames is None else job.frames * job.fmt.frame_bytes
        # A file of unknown length may pass 4 GiB, and what stands in front of the audio cannot grow later.
        self._with_room = job.output.patchable is not None and promised_bytes is None
        job.output.write(self._header(promised_bytes))

    @property
    def rate_hz(self) -> int:
        return self._job.fmt.rate_hz

    def encode(self, frames: bytes) -> None:
        self._job.output.write(frames)
        self._data_bytes += len(frames)

    def finish(self) -> None:
        file = self._job.output.patchable
        if file is None:
            return
        end = file.tell()
        file.seek(0)
        file.write(self._header(self._data_bytes))
        file.seek(end)

    def abandon(self) -> None:
        self.finish()

    def _header(self, data_bytes: int | None) -> bytes:
        return riff_header(self._job.fmt, data_bytes, info=self._info, with_room=self._with_room)


def riff_header(fmt: PcmFormat, data_bytes: int | None, *, info: bytes = b"", with_room: bool = False) -> bytes:
    """All that stands in front of the frames: 44 bytes, and what the tags and the room for big sizes need.

    Args:
        fmt: The shape of the frames.
        data_bytes: Bytes of all frames; None when nobody knows.
        info: A whole ``LIST`` chunk, or nothing.
        with_room: Keep 36 bytes free, so that the header for more than 4 GiB is as long as the one for less.
    """
    fmt_chunk = wav_header(fmt, 0)[12:36]
    # "WAVE", the three chunks between it and the data, and the head of the data chunk.
    before_data = 4 + len(fmt_chunk) + len(info) + _CHUNK.size
    room = _CHUNK.size + _DS64.size
    if data_bytes is None:
        magic, riff_size, data_size = b"RIFF", UNKNOWN_SIZE, UNKNOWN_SIZE
        sizes = _JUNK if with_room else b""
    elif before_data + room + data_bytes < UNKNOWN_SIZE:
        sizes = _JUNK if with_room else b""
        magic, riff_size, data_size = b"RIFF", before_data + len(sizes) + data_bytes, data_bytes
    else:
        magic, riff_size, data_size = b"RF64", UNKNOWN_SIZE, UNKNOWN_SIZE
        frames = fmt.frames(data_bytes)
        sizes = _CHUNK.pack(b"ds64", _DS64.size) + _DS64.pack(before_data + room + data_bytes, data_bytes, frames, 0)
    return b"".join((_CHUNK.pack(magic, riff_size), b"WAVE", sizes, fmt_chunk, info, _CHUNK.pack(b"data", data_size)))


_JUNK = _CHUNK.pack(b"JUNK", _DS64.size) + bytes(_DS64.size)


def _info_chunk(tags: Mapping[str, str]) -> bytes:
    if not tags:
        return b""
    known = with_unknown_in_comment(tags, _INFO_NAMES)
    body = b"INFO" + b"".join(_text_chunk(_INFO_NAMES[name], value) for name, value in known.items())
    return _CHUNK.pack(b"LIST", len(body)) + body


def _text_chunk(name: bytes, value: str) -> bytes:
    text = value.encode() + b"\0"
    return _CHUNK.pack(name, len(text)) + text + b"\0" * (len(text) % 2)
