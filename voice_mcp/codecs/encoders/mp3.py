"""MP3 (MPEG-1 and MPEG-2 layer III), by LAME."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from voice_mcp.codecs.encoders._av import MuxedCodec, MuxedEncoder
from voice_mcp.codecs.encoders.base import EncodingJob, lowest_rate_for

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
START_FRAMES = 1_105
"""What a decoder gives before the first frame that went in: 576 of LAME, 529 of its own."""
_SKIP_SAMPLES = struct.Struct("<IIBB")
"""How FFmpeg notes on a packet what to skip: at the start, at the end, and why (libavcodec/packet.h)."""


class Mp3Encoder(MuxedEncoder):
    """An ``Encoder`` for MP3.

    A stream is bare MPEG frames, after an ID3v2 tag if there are tags. It begins with ``START_FRAMES`` of silence and
    ends on a whole MPEG frame. A file has a Xing header with LAME's numbers, by which decoders that read them give
    exactly the frames that went in.
    """

    def __init__(self, job: EncodingJob) -> None:
        codec = MuxedCodec(
            name="MP3",
            codec="libmp3lame",
            container="mp3",
            rate_hz=lowest_rate_for(job.fmt.rate_hz, RATES_HZ),
            # Without the bit reservoir every MPEG frame stands alone: 24 ms less delay, and a cut anywhere is clean.
            options={"reservoir": "0"},
            container_options={
                "write_xing": "1" if job.output.patchable else "0",
                "id3v2_version": "3" if job.tags else "0",
            },
        )
        super().__init__(job, codec)

    def _last_packets(self) -> list[Packet[AudioStream]]:
        packets = super()._last_packets()
        if packets and packets[-1].has_sidedata("skip_samples"):
            # FFmpeg notes at most one MPEG frame, but LAME may end on one that is all padding.
            decoded_frames = (self._packets + len(packets)) * self._feeder.codec_frames
            note = packets[-1].get_sidedata("skip_samples")
            start, _, start_reason, end_reason = _SKIP_SAMPLES.unpack(bytes(note))
            excess = decoded_frames - START_FRAMES - self._feeder.frames
            note.update(_SKIP_SAMPLES.pack(start, excess, start_reason, end_reason))
            packets[-1].set_sidedata(note)
        return packets
