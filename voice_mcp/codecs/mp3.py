"""MP3 (MPEG-1, 2 and 2.5 layer III) as it arrives: frame by frame, with nothing added at the ends.

Source: ISO/IEC 11172-3 section 2.4 and 13818-3 for the header; the Xing and LAME info frame as documented by its
authors ("Mp3 Info Tag rev 1"). An encoder delays the sound and fills up the last frame; the info frame of a file says
by how much, and exactly that is cut off. A stream that was sent while it was made has none: it is played whole.
"""

from __future__ import annotations

import sys

from voice_mcp.codecs.sync_decoder import SyncDecoder
from voice_mcp.codecs.sync_frames import Frame, FrameHeader, SyncFrameCutter
from voice_mcp.types import PcmFormat

HEADER_BYTES = 4
MOST_FRAME_BYTES = 1441
"""320 kbit/s at 32 kHz, padded."""

_VERSION_1, _VERSION_2_5 = 3, 0
_LAYER_III = 1
_MONO = 3
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44_100, 48_000, 32_000)
_TAG_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Bits of an info tag's flags, and how many bytes each adds: frames, bytes, table of contents, quality."""
_DECODER_DELAY = 529
"""Samples by which a decoder is late: 528 of the filter bank and one more, as the info tag counts them."""


def read_header(data: bytes | bytearray, at: int) -> FrameHeader | None:
    """The layer III header that begins at ``at``; None when none does. Free-format frames are not known."""
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
    bitrate, rate = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or layer != _LAYER_III or bitrate in (0, 15) or rate == 3 or data[at + 3] & 3 == 2:
        return None
    first = version == _VERSION_1
    rate_hz = _RATES_HZ[rate] >> (0 if first else 2 if version == _VERSION_2_5 else 1)
    kbits = (_KBITS_1 if first else _KBITS_2)[bitrate]
    samples = 1152 if first else 576
    size_bytes = samples // 8 * kbits * 1000 // rate_hz + (data[at + 2] >> 1 & 1)
    return FrameHeader(size_bytes, samples, (version, rate_hz))


class Mp3Decoder(SyncDecoder):
    """A ``Decoder`` for MP3."""

    def __init__(self) -> None:
        super().__init__("MP3", SyncFrameCutter(read_header, HEADER_BYTES), "mp3float")
        self._ends = _Ends()

    def _frame(self, found: Frame) -> bytes:
        tag = _info_tag(found.data)
        if tag is not None:
            # Servers that join files send one of these per sentence: each begins a sound with ends of its own.
            self._ends = _Ends.told_by(tag, found.header.samples)
            return b""
        frames = self._packets.decode(found.data)
        if frames is None:
            self._note_damage("a frame cannot be decoded", len(found.data))
        else:
            self._note_good()
        fmt = self.format
        if fmt is None:
            return b""
        return self._ends.cut(bytes(found.header.samples * fmt.frame_bytes) if frames is None else frames, fmt)


class _Ends:
    """Cuts off what the encoder added before and after the sound.

    Args:
        begin: The first frame of the sound, counted in decoded frames.
        end: The first frame behind it.
        total: Where the encoder's filling ends; what comes later was not counted and is passed on.
    """

    def __init__(self, begin: int = 0, end: int = 0, total: int = 0) -> None:
        self._sound = ((begin, end), (total, sys.maxsize))
        self._at = 0

    @classmethod
    def told_by(cls, tag: bytes, samples: int) -> _Ends:
        """As the info tag says.

        Args:
            tag: From its name on.
            samples: Samples per channel in one MPEG frame.
        """
        flags = int.from_bytes(tag[4:8], "big")
        frames = int.from_bytes(tag[8:12], "big") if flags & 1 else 0
        extra = tag[8 + sum(size for bit, size in _TAG_FIELDS if flags & bit) :]
        if tag[:4] == b"VBRI" or len(extra) < 24 or extra[:4] not in (b"LAME", b"Lavf", b"Lavc"):
            return cls()
        delay, padding = extra[21] << 4 | extra[22] >> 4, (extra[22] & 15) << 8 | extra[23]
        begin, total = delay + _DECODER_DELAY, frames * samples
        end = total - max(0, padding - _DECODER_DELAY)
        return cls(begin, end, total) if begin <= end else cls(begin, begin, begin)

    def cut(self, pcm: bytes, fmt: PcmFormat) -> bytes:
        """What of the next decoded frames is sound."""
        start, self._at = self._at, self._at + fmt.frames(len(pcm))
        size = fmt.frame_bytes
        return b"".join(
            pcm[max(0, begin - start) * size : max(0, min(end, self._at) - start) * size] for begin, end in self._sound
        )


def _info_tag(frame: bytes) -> bytes | None:
    """The info tag of a frame that holds one instead of sound, from its name on."""
    version_1, mono = frame[1] >> 3 & 3 == _VERSION_1, frame[3] >> 6 == _MONO
    side_info_bytes = (17 if mono else 32) if version_1 else (9 if mono else 17)
    tag = frame[HEADER_BYTES + side_info_bytes :]
    if tag[:4] in (b"Xing", b"Info"):
        return tag
    return frame[36:] if frame[36:40] == b"VBRI" else None
