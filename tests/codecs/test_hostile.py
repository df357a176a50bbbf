"""Streams made to break a decoder: each gives frames or a codec error, in bounded memory, and the same however cut."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Callable
from functools import cache, partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codecs.material import encode, encode_file, sound
from voice_mcp.codecs.aac import AacDecoder
from voice_mcp.codecs.flac import FlacDecoder
from voice_mcp.codecs.mp3 import Mp3Decoder
from voice_mcp.codecs.ogg import OggVorbisDecoder
from voice_mcp.codecs.ogg_pages import page_checksum
from voice_mcp.codecs.opus import OpusDecoder
from voice_mcp.codecs.progressive import MOST_LOST_BYTES, ProgressiveDecoder
from voice_mcp.codecs.sync_frames import Frame
from voice_mcp.errors import CodecError, NotAudio
from voice_mcp.types import PcmFormat

FMT = PcmFormat(24_000, 1)
FRAMES = 12_000


class TellingMp3Decoder(Mp3Decoder):
    """Keeps what it hands to FFmpeg, whose MP3 decoder makes other samples of the very same damaged packets from one
    time to the next, by what lay in its memory before. What it is given, and how much comes back, is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.packets = b""

    def _frame(self, found: Frame) -> bytes:
        self.packets += found.data
        return super()._frame(found)


DECODERS: dict[str, Callable[[], ProgressiveDecoder]] = {
    "mp3": TellingMp3Decoder,
    "aac": AacDecoder,
    "flac": FlacDecoder,
    "opus": OpusDecoder,
    "ogg": OggVorbisDecoder,
}
SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.data_too_large])
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "repeat", "end"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 3000),
    ),
    min_size=1,
    max_size=6,
)


@cache
def stream(kind: str) -> bytes:
    pcm = sound(FMT, FRAMES)
    makers: dict[str, Callable[[], bytes]] = {
        "mp3": lambda: encode("mp3", "libmp3lame", pcm, 24_000, streamed=False),
        "aac": lambda: encode("adts", "aac", pcm, 24_000),
        "flac": lambda: encode("flac", "flac", pcm, 24_000),
        "opus": lambda: encode("ogg", "libopus", pcm, 24_000, container_options={"page_duration": "20000"}),
        "ogg": lambda: encode_file(pcm, 24_000, "OGG", "VORBIS"),
    }
    return makers[kind]()


def damaged(data: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    out = bytearray(data)
    for what, where, size in damage:
        at = int(where * len(out))
        if what == "flip" and out:
            out[at] ^= 1 << size % 8
        elif what == "delete":
            del out[at : at + size]
        elif what == "insert":
            out[at:at] = random.Random(size).randbytes(size)
        elif what == "repeat":
            out[at:at] = out[at // 2 : at // 2 + size]
        elif what == "end":
            del out[at:]
    return bytes(out)


def outcome(kind: str, data: bytes, step: int) -> tuple[bytes, int, str, int]:
    """The frames (of MP3 the packets they are made of), how many bytes they are, the error and the count of damage."""
    decoder, out, error = DECODERS[kind](), b"", ""
    try:
        for start in range(0, len(data), step):
            out += decoder.decode(data[start : start + step])
        out += decoder.flush()
    except CodecError as exc:
        error = exc.message
    assert error or decoder.format is not None or not out
    what = decoder.packets if isinstance(decoder, TellingMp3Decoder) else out
    return what, len(out), error, decoder.decode_errors


@pytest.mark.parametrize("kind", DECODERS)
@SETTINGS
@given(damage=DAMAGE, step=st.sampled_from([1, 13, 480, 4096]))
def test_damage_gives_the_same_frames_or_the_same_error_however_it_was_cut(
    kind: str, damage: list[tuple[str, float, int]], step: int
) -> None:
    data = damaged(stream(kind), damage)

    assert outcome(kind, data, step) == outcome(kind, data, max(1, len(data)))


@pytest.mark.parametrize("kind", DECODERS)
@SETTINGS
@given(data=st.binary(max_size=3000), keep=st.integers(0, 600))
def test_noise_gives_frames_or_a_codec_error_and_nothing_else(kind: str, data: bytes, keep: int) -> None:
    outcome(kind, stream(kind)[:keep] + data, 100)


def ogg_page(body: bytes, sequence: int, serial: int = 1, flags: int = 0) -> bytes:
    lacing = b"\xff" * (len(body) // 255) + bytes([len(body) % 255])
    head = struct.pack("<4sBBqII", b"OggS", 0, flags, 0, serial, sequence)
    tail = bytes([len(lacing)]) + lacing + body
    return head + struct.pack("<I", page_checksum(head + bytes(4) + tail)) + tail


FLAC_HEADER = b"fLaC\x80\0\0\x22" + bytes.fromhex("1000100000000000000005dc00f000000000") + bytes(16)
ENDLESS = {
    "zeros": b"\0",
    "ones": b"\xff",
    "MPEG headers": b"\xff\xfb\x90\x00",
    "ADTS headers": b"\xff\xf1\x50\x80\x02\x1f\xfc",
    "FLAC sync words": b"\xff\xf8\x19\x18\0",
    "Ogg headers": b"OggS\0\0" + bytes(20) + b"\xff" * 4,
    "noise": random.Random(1).randbytes(1 << 18),
}


def fed_until_refused(decoder: ProgressiveDecoder, pattern: bytes) -> int:
    """How many bytes of a pattern a decoder takes."""
    block, fed = (pattern * (4096 // len(pattern) + 1))[:4096], 0
    with pytest.raises(NotAudio):
        while fed < 4 * MOST_LOST_BYTES:
            decoder.decode(block)
            fed += len(block)
    return fed


def opened(kind: str) -> ProgressiveDecoder:
    """A decoder that waits for its first frame."""
    decoder = DECODERS[kind]()
    decoder.decode(FLAC_HEADER if kind == "flac" else b"")
    return decoder


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("what", ENDLESS)
def test_a_stream_without_frames_has_an_end(kind: str, what: str) -> None:
    assert fed_until_refused(opened(kind), ENDLESS[what]) <= MOST_LOST_BYTES + 70_000


@pytest.mark.parametrize("kind", DECODERS)
def test_a_stream_without_frames_needs_no_memory(kind: str) -> None:
    decoder = opened(kind)
    tracemalloc.start()
    fed_until_refused(decoder, ENDLESS["zeros"])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 3 * MOST_LOST_BYTES


@pytest.mark.parametrize("kind", DECODERS)
def test_garbage_without_end_behind_good_sound_has_an_end_too(kind: str) -> None:
    decoder = DECODERS[kind]()

    assert decoder.decode(stream(kind))
    assert fed_until_refused(decoder, ENDLESS["zeros"]) <= MOST_LOST_BYTES + 70_000


@pytest.mark.parametrize("serial", [1, 2], ids=["of the stream", "of another"])
@pytest.mark.parametrize("flags", [0, 1])
def test_good_pages_without_end_and_without_sound_have_an_end(serial: int, flags: int) -> None:
    decoder = OpusDecoder()
    decoder.decode(ogg_page(b"OpusHead\x01\x01\0\0\0\0\0\0\0\0\0", 0, 1, 2))
    with pytest.raises(NotAudio):
        for sequence in range(1, 40):
            decoder.decode(ogg_page(b"\xff" * 60_000, sequence, serial, flags))


def test_good_frames_without_end_that_cannot_be_decoded_have_an_end() -> None:
    header = bytes([0xFF, 0xF1, 0x50, 0x40, 0x80, 0x1F, 0xFC])
    frame = header + b"\xff" * ((header[4] << 3 | header[5] >> 5) - 7)
    assert fed_until_refused(AacDecoder(), frame * 4) <= MOST_LOST_BYTES + 70_000


def test_what_was_good_before_the_error_is_heard_and_the_error_comes_again_and_again() -> None:
    decoder = Mp3Decoder()

    assert decoder.decode(stream("mp3") + bytes(MOST_LOST_BYTES + 1))
    calls: list[Callable[[], bytes]] = [
        partial(decoder.decode, b""),
        partial(decoder.decode, stream("mp3")),
        decoder.flush,
    ]
    for call in calls:
        with pytest.raises(NotAudio):
            call()


def test_a_few_bytes_cannot_be_turned_into_hours() -> None:
    # A page of 27 + 255 + 255 bytes can hold 255 packets of 60 ms of nothing.
    head = ogg_page(b"OpusHead\x01\x02\0\0\0\0\0\0\0\0\0", 0, 1, 2)
    lacing = b"\x01" * 255
    blank = struct.pack("<4sBBqIII", b"OggS", 0, 0, 0, 1, 1, 0) + b"\xff" + lacing + b"\x1c" * 255
    page = blank[:22] + struct.pack("<I", page_checksum(blank)) + blank[26:]
    decoder = OpusDecoder()

    assert len(decoder.decode(head + page * 4)) <= 4 * 255 * 2880 * 4
    with pytest.raises(NotAudio, match="longer"):
        for _ in range(2):
            decoder.decode(page * 100)
