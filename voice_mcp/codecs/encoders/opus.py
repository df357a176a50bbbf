"""Opus in Ogg (RFC 6716, RFC 7845), by libopus."""

from __future__ import annotations

from fractions import Fraction

from voice_mcp.codecs._av import LAYOUTS
from voice_mcp.codecs.encoders._av import FrameFeeder, telling_of_failure
from voice_mcp.codecs.encoders.base import EncodingJob, lowest_rate_for
from voice_mcp.codecs.encoders.ogg_pages import OggPages
from voice_mcp.codecs.encoders.tags import vorbis_comment

RATE_HZ = 48_000
"""What every decoder gives, and the unit of all positions."""
INPUT_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
"""What libopus takes; it brings them to 48 kHz by itself, better than anybody in front of it."""
PACKET_MS = 20
_PACKET_UNITS = RATE_HZ * PACKET_MS // 1000
_FILE_PAGE_PACKETS = 10
"""A page costs 28 bytes. In a stream each packet goes at once; a file has time for 200 ms."""


class OpusEncoder:
    """An ``Encoder`` for Opus in Ogg; what is decoded is exactly as long as what was encoded."""

    rate_hz = RATE_HZ

    def __init__(self, job: EncodingJob) -> None:
        self._output = job.output
        self._fmt = job.fmt
        self._frames = 0
        self._page_packets = _FILE_PAGE_PACKETS if job.output.patchable else 1
        self._pages = OggPages()
        self._waiting: list[bytes] = []
        self._packets = 0
        with telling_of_failure("Opus"):
            from av import AudioCodecContext

            context = AudioCodecContext.create("libopus", "w")
            context.sample_rate = lowest_rate_for(job.fmt.rate_hz, INPUT_RATES_HZ)
            context.time_base = Fraction(1, context.sample_rate)
            context.layout = LAYOUTS[job.fmt.channels]
            context.format = "s16"
            context.bit_rate = job.bitrate
            # "voip" filters out rumble that synthetic speech does not have, and turns its phases meanwhile.
            context.options = {"application": "audio", "frame_duration": str(PACKET_MS)}
            context.open()
            self._feeder = FrameFeeder(job.fmt, context)
            head = context.extradata or b""
        self._pre_skip = int.from_bytes(head[10:12], "little")
        tags = b"OpusTags" + vorbis_comment("voice-mcp", job.tags)
        self._output.write(self._pages.page([head], 0) + self._pages.page([tags], 0))

    def encode(self, frames: bytes) -> None:
        self._frames += self._fmt.frames(len(frames))
        with telling_of_failure("Opus"):
            for packet in self._feeder.packets(frames):
                self._add(bytes(packet))
                if len(self._waiting) == self._page_packets:
                    self._write_page(self._packets * _PACKET_UNITS)

    def finish(self) -> None:
        with telling_of_failure("Opus"):
            if self._fmt.rate_hz not in INPUT_RATES_HZ:
                # Resampling rounds, so the packets could end a sample before the sound does; the excess is cut off.
                for packet in self._feeder.packets(bytes(2 * self._fmt.frame_bytes)):
                    self._add(bytes(packet))
            for packet in self._feeder.last_packets():
                self._add(bytes(packet))
        # The last position is less than the packets hold: that is how decoders know where to cut.
        end = self._pre_skip + round(self._frames * RATE_HZ / self._fmt.rate_hz)
        self._write_page(min(end, self._packets * _PACKET_UNITS), last=True)

    def abandon(self) -> None:
        if self._waiting:
            self._write_page(self._packets * _PACKET_UNITS)

    def _add(self, packet: bytes) -> None:
        self._waiting.append(packet)
        self._packets += 1

    def _write_page(self, granule: int, *, last: bool = False) -> None:
        self._output.write(self._pages.page(self._waiting, granule, last=last))
        self._waiting = []
