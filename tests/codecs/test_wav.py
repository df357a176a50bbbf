"""WAV as servers and tools really write it."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.codecs.wav import HEADER_LIMIT_BYTES, WavDecoder
from voice_mcp.errors import CodecError, NotAudio, UnsupportedFormat
from voice_mcp.types import PcmFormat

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
SOUND = array("h", [0, 1, -1, 1000, -1000, 32767, -32768, 12345]).tobytes()


def chunk(name: bytes, content: bytes, claimed: int | None = None) -> bytes:
    """A chunk, padded to an even size; ``claimed`` is what it says of its size."""
    size = len(content) if claimed is None else claimed
    return name + struct.pack("<I", size) + content + b"\0" * (len(content) % 2)


def fmt_chunk(tag: int = PCM, bits: int = 16, channels: int = 1, rate_hz: int = 24_000, more: bytes = b"") -> bytes:
    frame_bytes = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits) + more
    )


def extensible(tag: int, bits: int, channels: int = 1) -> bytes:
    more = struct.pack("<HHIH", 22, bits, 0, tag) + SUBFORMAT_TAIL
    return fmt_chunk(EXTENSIBLE, bits, channels, more=more)


def wav(*chunks: bytes, magic: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body)) + body


def decode(data: bytes, cuts: Sequence[int] = ()) -> tuple[bytes, PcmFormat | None]:
    """The frames and their shape, with ``data`` given in the pieces that ``cuts`` make of it."""
    decoder, out = WavDecoder(), b""
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        out += decoder.decode(data[start:end])
    return out + decoder.flush(), decoder.format


def samples(data: bytes) -> list[int]:
    return list(array("h", data))


# --- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_16_bit_frames_come_out_as_they_are(rate_hz: int, channels: int) -> None:
    out, fmt = decode(wav(fmt_chunk(channels=channels, rate_hz=rate_hz), chunk(b"data", SOUND)))

    assert out == SOUND
    assert fmt == PcmFormat(rate_hz, channels)


def test_8_bit_frames_are_unsigned() -> None:
    out, _ = decode(wav(fmt_chunk(bits=8), chunk(b"data", bytes([0, 127, 128, 129, 255]))))

    assert samples(out) == [-32768, -256, 0, 256, 32512]


def test_24_bit_frames_keep_their_upper_16_bits() -> None:
    values = [0, 0x7FFFFF, -0x800000, 256, -256, 255]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    out, _ = decode(wav(fmt_chunk(bits=24), chunk(b"data", data)))

    assert samples(out) == [0, 32767, -32768, 1, -1, 0]


def test_32_bit_frames_keep_their_upper_16_bits() -> None:
    data = struct.pack("<5i", 0, 0x7FFFFFFF, -0x80000000, 1 << 16, -(1 << 16))
    out, _ = decode(wav(fmt_chunk(bits=32), chunk(b"data", data)))

    assert samples(out) == [0, 32767, -32768, 1, -1]


def test_floats_are_scaled_and_what_is_too_loud_is_clipped() -> None:
    data = struct.pack("<7f", 0.0, 1.0, -1.0, 0.5, 2.0, -math.inf, math.inf)
    out, _ = decode(wav(fmt_chunk(FLOAT, 32), chunk(b"data", data)))

    assert samples(out) == [0, 32767, -32767, 16384, 32767, -32767, 32767]


def test_a_float_that_is_no_number_is_silence() -> None:
    out, _ = decode(wav(fmt_chunk(FLOAT, 32), chunk(b"data", struct.pack("<3f", math.nan, 1.0, -math.nan))))

    assert samples(out) == [0, 32767, 0]


@pytest.mark.parametrize(("tag", "bits"), [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32)])
def test_an_extensible_header_says_the_same_as_a_plain_one(tag: int, bits: int) -> None:
    data = chunk(b"data", bytes(range(48)))

    assert decode(wav(extensible(tag, bits, 2), data)) == decode(wav(fmt_chunk(tag, bits, 2), data))


# --- sizes and chunks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [None, 0, 0x7FFFFFFF, 0x7FFF0000, 0xFFFFFFFF])
def test_a_size_nobody_can_know_means_until_the_stream_ends(claimed: int | None) -> None:
    out, _ = decode(wav(fmt_chunk(), chunk(b"data", SOUND, claimed)))

    assert out == SOUND


def test_a_size_that_is_larger_than_what_comes_is_no_error() -> None:
    assert decode(wav(fmt_chunk(), chunk(b"data", SOUND, 1_000_000)))[0] == SOUND


@pytest.mark.parametrize("note", [b"", b"even", b"odd", bytes(5000)])
def test_other_chunks_before_and_after_the_sound_are_passed_over(note: bytes) -> None:
    data = wav(chunk(b"JUNK", note), fmt_chunk(), chunk(b"LIST", note), chunk(b"data", SOUND), chunk(b"LIST", note))

    assert decode(data)[0] == SOUND


def test_what_follows_an_odd_number_of_bytes_is_not_taken_for_sound() -> None:
    data = wav(fmt_chunk(bits=8), chunk(b"data", bytes([128] * 5)), chunk(b"LIST", b"\xff" * 20))

    assert samples(decode(data)[0]) == [0] * 5


def test_a_large_file_in_the_wave64_manner_of_rf64_is_read_to_its_end() -> None:
    data = wav(chunk(b"ds64", bytes(28)), fmt_chunk(), chunk(b"data", SOUND, 0xFFFFFFFF), magic=b"RF64")

    assert decode(data)[0] == SOUND


def test_half_a_frame_at_the_end_is_dropped() -> None:
    assert decode(wav(fmt_chunk(channels=2), b"data" + struct.pack("<I", 0) + SOUND[:7]))[0] == SOUND[:4]


def test_the_format_is_known_as_soon_as_the_header_is_there_and_not_before() -> None:
    data, decoder = wav(fmt_chunk(), chunk(b"data", SOUND)), WavDecoder()
    assert decoder.decode(data[:20]) == b""
    assert decoder.format is None
    decoder.decode(data[20:44])

    assert decoder.format == PcmFormat(24_000, 1)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_one_byte_at_a_time_gives_the_same_as_all_at_once(bits: int) -> None:
    data = wav(
        chunk(b"LIST", b"odd"), fmt_chunk(bits=bits, channels=2), chunk(b"data", bytes(range(96))), chunk(b"x   ", b"y")
    )

    assert decode(data, range(1, len(data))) == decode(data)


@given(
    shape=st.sampled_from([(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32)]),
    channels=st.integers(1, 3),
    before=st.binary(max_size=30),
    sound=st.binary(max_size=200),
    claimed=st.sampled_from([None, 0, 0x7FFFFFFF, 0xFFFFFFFF, 50]),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_the_frames_do_not_depend_on_how_the_stream_was_cut(
    shape: tuple[int, int], channels: int, before: bytes, sound: bytes, claimed: int | None, cuts: list[int]
) -> None:
    data = wav(chunk(b"LIST", before), fmt_chunk(*shape, channels), chunk(b"data", sound, claimed))

    assert decode(data, cuts) == decode(data)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 4, 11, 12, 20, 35, 36, 43])
def test_a_stream_that_ends_inside_its_header_is_refused(length: int) -> None:
    with pytest.raises(NotAudio, match="inside its header"):
        decode(wav(fmt_chunk(), chunk(b"data", SOUND))[:length])


@pytest.mark.parametrize(
    "data", [b"<!DOCTYPE html><html>", b'{"error": "no such model"}', b"RIFF\0\0\0\0AVI LIST", b"OggS" + bytes(40)]
)
def test_what_is_no_wav_is_refused(data: bytes) -> None:
    with pytest.raises(NotAudio, match="not WAV"):
        decode(data)


@pytest.mark.parametrize(
    ("channels", "rate_hz"), [(0, 24_000), (9, 24_000), (65_535, 24_000), (1, 0), (1, 3999), (1, 0xFFFF_FFFF // 2)]
)
def test_a_header_that_makes_no_sense_is_refused(channels: int, rate_hz: int) -> None:
    shape = struct.pack("<HHIIHH", PCM, channels, rate_hz, 0, channels * 2 & 0xFFFF, 16)

    with pytest.raises(NotAudio, match="makes no sense"):
        decode(wav(chunk(b"fmt ", shape), chunk(b"data", SOUND)))


def test_frames_of_a_size_they_cannot_have_are_refused() -> None:
    with pytest.raises(NotAudio, match="makes no sense"):
        decode(wav(chunk(b"fmt ", struct.pack("<HHIIHH", PCM, 1, 24_000, 48_000, 0, 16)), chunk(b"data", SOUND)))


@pytest.mark.parametrize("first", [b"", chunk(b"fmt ", b"short")])
def test_sound_without_a_format_is_refused(first: bytes) -> None:
    with pytest.raises(NotAudio, match="does not say its format"):
        decode(wav(first, chunk(b"data", SOUND)))


@pytest.mark.parametrize(("tag", "bits"), [(0x0055, 16), (0x0006, 8), (FLOAT, 64), (PCM, 12), (PCM, 64)])
def test_wav_in_an_encoding_this_version_cannot_play_is_said_to_be_so(tag: int, bits: int) -> None:
    with pytest.raises(UnsupportedFormat, match=f"type {tag} with {bits} bits"):
        decode(wav(fmt_chunk(tag, bits), chunk(b"data", SOUND)))


@pytest.mark.parametrize(
    "endless",
    [
        wav(fmt_chunk(), chunk(b"LIST", b"", 0xFFFFFFF0)) + bytes(2 * HEADER_LIMIT_BYTES),
        wav(fmt_chunk(), *[chunk(b"note", b"")] * (HEADER_LIMIT_BYTES // 4)),
    ],
    ids=["one chunk", "many chunks"],
)
def test_a_header_without_an_end_is_refused(endless: bytes) -> None:
    decoder = WavDecoder()
    with pytest.raises(NotAudio, match="does not end"):
        for start in range(0, len(endless), 4096):
            assert decoder.decode(endless[start : start + 4096]) == b""


@pytest.mark.parametrize("step", [4096, 1 << 30])
def test_whether_a_header_is_too_long_does_not_depend_on_how_it_was_cut(step: int) -> None:
    data = wav(fmt_chunk(), chunk(b"LIST", bytes(HEADER_LIMIT_BYTES)), chunk(b"data", SOUND))

    with pytest.raises(NotAudio, match="does not end"):
        decode(data, range(step, len(data), step))


@given(st.binary(max_size=300))
def test_damaged_headers_give_frames_or_a_codec_error_and_nothing_else(damage: bytes) -> None:
    try:
        out, fmt = decode(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + damage)
    except CodecError as refused:
        assert refused.message
    else:
        assert fmt is not None
        assert len(out) % fmt.frame_bytes == 0
