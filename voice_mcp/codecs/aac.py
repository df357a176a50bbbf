"""AAC in ADTS frames, as speech endpoints stream it.

Source: ISO/IEC 13818-7 section 6.2 (adts_frame). ADTS has no room for the encoder's delay, so the sound begins with a
frame or two of the encoder's silence and ends with a filled-up frame; AAC in MP4 is another format (``whole``).
"""

from __future__ import annotations

from voice_mcp.codecs.sync_decoder import SyncDecoder
from voice_mcp.codecs.sync_frames import Frame, FrameHeader, SyncFrameCutter

HEADER_BYTES = 7
_CHECKSUM_BYTES = 2
_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_BLOCK_SAMPLES = 1024


def read_header(data: bytes | bytearray, at: int) -> FrameHeader | None:
    """The ADTS header that begins at ``at``; None when none does."""
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate = data[at + 2] >> 2 & 15
    size_bytes = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    bare = HEADER_BYTES + (0 if data[at + 1] & 1 else _CHECKSUM_BYTES)
    if rate >= len(_RATES_HZ) or size_bytes <= bare:
        return None
    profile, channels = data[at + 2] >> 6, (data[at + 2] & 1) << 2 | data[at + 3] >> 6
    return FrameHeader(size_bytes, _BLOCK_SAMPLES * ((data[at + 6] & 3) + 1), (profile, rate, channels))


class AacDecoder(SyncDecoder):
    """A ``Decoder`` for AAC in ADTS."""

    def __init__(self) -> None:
        super().__init__("AAC", SyncFrameCutter(read_header, HEADER_BYTES), "aac")
        self._usual_bytes = 0

    def _frame(self, found: Frame) -> bytes:
        frames = self._packets.decode(found.data)
        if frames is None:
            self._note_damage("a frame cannot be decoded", len(found.data))
            # As long as the last good one: HE-AAC makes twice as many samples as its headers say.
            return bytes(self._usual_bytes)
        self._note_good()
        self._usual_bytes = len(frames)
        return frames
