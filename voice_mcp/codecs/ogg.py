"""Vorbis in Ogg as it arrives: page by page, cut at the ends as the page times say, with silence for what was lost.

Source: Xiph.Org, "Vorbis I specification" sections 4.2 (headers) and A.2 (granule positions). FFmpeg wants the three
headers in one piece, each but the last preceded by its length.
"""

from __future__ import annotations

import struct

from voice_mcp.codecs._av import MOST_CHANNELS, RATES_HZ, PacketDecoder
from voice_mcp.codecs.ogg_stream import OggDecoder, PacketGroup, Timeline
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

MAGIC = b"\x01vorbis"
_IDENTIFICATION = struct.Struct("<7sIBI")
_HEADERS = (MAGIC, b"\x03vorbis", b"\x05vorbis")


class OggVorbisDecoder(OggDecoder):
    """A ``Decoder`` for Vorbis in Ogg."""

    def __init__(self) -> None:
        super().__init__("Vorbis", MAGIC)
        self._format: PcmFormat | None = None
        self._headers: list[bytes] = []
        self._packets: PacketDecoder | None = None
        self._timeline = Timeline(RATES_HZ[0])

    @property
    def format(self) -> PcmFormat | None:
        return self._format

    def _play(self, group: PacketGroup) -> bytes:
        if group.first:
            self._headers = []
        packets = self._after_headers(group.packets)
        if group.damage and self._packets is not None:
            self._packets.forget()  # half of each packet is added to half of the one before
        errors_before = self.decode_errors
        frames = b"".join(map(self._decode, packets))
        if self._format is None or len(self._headers) < len(_HEADERS) or not packets:
            return b""
        damaged = bool(group.damage) or self.decode_errors > errors_before
        size = self._format.frame_bytes
        timing = self._timeline.place(len(frames) // size, group, damaged=damaged)
        return bytes(timing.missing * size) + frames[timing.early * size : len(frames) - timing.surplus * size]

    def _after_headers(self, packets: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The packets of sound, once the headers are there."""
        while packets and len(self._headers) < len(_HEADERS):
            if not packets[0].startswith(_HEADERS[len(self._headers)]):
                raise NotAudio("The Vorbis audio has no headers.")
            self._headers.append(packets[0])
            packets = packets[1:]
            if len(self._headers) == len(_HEADERS):
                self._begin()
        return packets

    def _begin(self) -> None:
        fmt = _format_of(self._headers[0])
        extradata = _in_one_piece(self._headers)
        if self._packets is None:
            self._packets = PacketDecoder("vorbis", self.encoding, extradata=extradata)
            self._format = fmt
        else:
            self._packets.restart(extradata)
        self._timeline = Timeline(fmt.rate_hz)

    def _decode(self, packet: bytes) -> bytes:
        assert self._packets is not None
        frames = self._packets.decode(packet)
        if frames is None:
            self._note_damage("a packet cannot be decoded", len(packet) + 1)
            self._packets.forget()
            return b""
        self._note_good()
        return frames


def _format_of(identification: bytes) -> PcmFormat:
    if len(identification) < _IDENTIFICATION.size:
        raise NotAudio("The Vorbis header is cut off.")
    _, _, channels, rate_hz = _IDENTIFICATION.unpack_from(identification)
    if not 1 <= channels <= MOST_CHANNELS or rate_hz not in RATES_HZ:
        raise NotAudio(f"The Vorbis header makes no sense ({channels} channels, {rate_hz} Hz).")
    return PcmFormat(rate_hz, channels)


def _in_one_piece(headers: list[bytes]) -> bytes:
    lengths = b"".join(b"\xff" * (len(header) // 255) + bytes([len(header) % 255]) for header in headers[:-1])
    return bytes([len(headers) - 1]) + lengths + b"".join(headers)
