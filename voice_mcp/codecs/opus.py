"""Opus in Ogg as it arrives: page by page, exact to the sample at both ends, with silence for what was lost.

Source: RFC 7845. What the encoder needed to get going (pre-skip) and what filled up the last packet is cut off; after a
lost page the page times say how much is missing.
"""

from __future__ import annotations

from voice_mcp.codecs.ogg_stream import OggDecoder, PacketGroup, Timeline
from voice_mcp.codecs.opus_packets import (
    HEAD_MAGIC,
    RATE_HZ,
    TAGS_MAGIC,
    OpusHead,
    OpusPacketDecoder,
    format_of,
    open_packet_decoder,
    packet_samples,
)
from voice_mcp.types import PcmFormat


class OpusDecoder(OggDecoder):
    """A ``Decoder`` for Opus in Ogg. What comes out has 48,000 frames a second."""

    def __init__(self) -> None:
        super().__init__("Opus", HEAD_MAGIC)
        self._format: PcmFormat | None = None
        self._packets: OpusPacketDecoder | None = None
        self._timeline = Timeline(RATE_HZ)
        self._skip = 0

    @property
    def format(self) -> PcmFormat | None:
        return self._format

    def _play(self, group: PacketGroup) -> bytes:
        packets = group.packets
        if group.first and packets:
            self._begin(OpusHead.parse(packets[0]))
            packets = packets[1:]
        fmt = self._format
        if fmt is None:
            return b""
        errors_before = self.decode_errors
        frames = b"".join(self._decode(packet, fmt) for packet in packets if not packet.startswith(TAGS_MAGIC))
        damaged = bool(group.damage) or self.decode_errors > errors_before
        timing = self._timeline.place(fmt.frames(len(frames)), group, damaged=damaged)
        heard = len(frames) - timing.surplus * fmt.frame_bytes
        return self._after_skip(bytes(timing.missing * fmt.frame_bytes) + frames[:heard], fmt)

    def _begin(self, head: OpusHead) -> None:
        if self._packets is None:
            self._packets = open_packet_decoder(head)
            self._format = format_of(head)
        else:
            self._packets.restart(head.decoder_header)
        self._timeline = Timeline(RATE_HZ)
        self._skip = head.pre_skip

    def _decode(self, packet: bytes, fmt: PcmFormat) -> bytes:
        assert self._packets is not None
        samples = packet_samples(packet)
        frames = self._packets.decode(packet) if samples else None
        if frames is None:
            self._note_damage("a packet cannot be decoded", len(packet) + 1)
            return bytes(samples * fmt.frame_bytes)
        self._note_good()
        return frames

    def _after_skip(self, frames: bytes, fmt: PcmFormat) -> bytes:
        skipped = min(self._skip, fmt.frames(len(frames)))
        self._skip -= skipped
        return frames[skipped * fmt.frame_bytes :]
