"""Opus headers and packets: what they say, and a decoder for them.

Source: RFC 7845 section 5.1 (OpusHead); RFC 6716 section 3.1 (the TOC byte) and 3.2 (how many frames a packet has).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from voice_mcp.codecs._av import MOST_CHANNELS, PacketDecoder, load_av
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

HEAD_MAGIC = b"OpusHead"
TAGS_MAGIC = b"OpusTags"
RATE_HZ = 48_000
"""Opus is decoded at this rate, whatever was recorded."""

_HEAD = struct.Struct("<8sBBHIhB")
_PRE_SKIP_AT = 10
_MOST_PACKET_SAMPLES = 5760
"""120 ms."""


@dataclass(frozen=True, slots=True)
class OpusHead:
    """The first packet of a stream."""

    channels: int
    pre_skip: int
    """Samples per channel at the beginning that are not to be heard."""
    gain: int
    """What the decoder is to amplify by, in 1/256 dB."""
    family: int
    """How channels are mapped; 0 is mono or stereo in one Opus stream."""
    decoder_header: bytes
    """The packet for a decoder that skips nothing by itself."""

    @classmethod
    def parse(cls, packet: bytes) -> OpusHead:
        """Read the packet.

        Raises:
            NotAudio: It makes no sense.
        """
        if len(packet) < _HEAD.size:
            raise NotAudio("The Opus header is cut off.")
        _, version, channels, pre_skip, _, gain, family = _HEAD.unpack_from(packet)
        if version > 15 or not 1 <= channels <= (2 if family == 0 else MOST_CHANNELS):
            raise NotAudio(f"The Opus header makes no sense (version {version}, {channels} channels).")
        without_skip = packet[:_PRE_SKIP_AT] + bytes(2) + packet[_PRE_SKIP_AT + 2 :]
        return cls(channels, pre_skip, gain, family, without_skip)


def packet_samples(packet: bytes) -> int:
    """Samples per channel in a packet; 0 when it is none."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        frame = (480, 960)[config & 1]
    else:
        frame = 120 << (config & 3)
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return frame * count if frame * count <= _MOST_PACKET_SAMPLES else 0


class OpusPacketDecoder(Protocol):
    """Something that decodes Opus packets one by one, at 48 kHz."""

    def decode(self, packet: bytes) -> bytes | None:
        """The frames of one packet; None when it is damaged."""
        ...

    def restart(self, extradata: bytes) -> None:
        """Another stream begins, with this header."""
        ...


def open_packet_decoder(head: OpusHead) -> OpusPacketDecoder:
    """A decoder for the packets behind ``head``: the system's libopus where opuslib finds it, FFmpeg's otherwise.

    Raises:
        CodecMissing: There is neither.
        NotAudio: The header makes no sense.
    """
    if head.family == 0 and _system_libopus():
        return _OpuslibDecoder(head)
    codec = "libopus" if "libopus" in load_av("Opus").codecs_available else "opus"
    return PacketDecoder(codec, "Opus", extradata=head.decoder_header)


def _system_libopus() -> bool:
    """Whether opuslib is installed and would find its library: without one it cannot even be imported."""
    if find_spec("opuslib") is None:
        return False
    from ctypes.util import find_library  # asks the linker: only where opuslib makes it worth it

    return find_library("opus") is not None


class _OpuslibDecoder:
    """libopus through opuslib, for mono and stereo.

    Args:
        head: The stream's header. A stream that follows with another number of channels is decoded to this one's,
            which libopus does by itself.
    """

    def __init__(self, head: OpusHead) -> None:
        self._opuslib = import_module("opuslib")  # optional, and it loads a system library
        self._channels = head.channels
        self._begin(head.gain)

    def decode(self, packet: bytes) -> bytes | None:
        if not packet:
            return None
        try:
            return bytes(self._decoder.decode(packet, _MOST_PACKET_SAMPLES))
        except self._opuslib.OpusError:
            return None

    def restart(self, extradata: bytes) -> None:
        self._begin(OpusHead.parse(extradata).gain)

    def _begin(self, gain: int) -> None:
        self._decoder = self._opuslib.Decoder(RATE_HZ, self._channels)
        self._decoder.gain = gain


def format_of(head: OpusHead) -> PcmFormat:
    """The shape of the frames of a stream."""
    return PcmFormat(RATE_HZ, head.channels)
