"""FLAC as servers stream it and as tools write it: every sample comes back."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import (
    bytes_until_sound,
    decode,
    decode_in_steps,
    encode,
    encode_file,
    frames_of,
    longest_silence,
    sound,
)
from voice_mcp.codecs.flac import FlacDecoder
from voice_mcp.codecs.flac_frames import Crc16, FlacHeaderReader, StreamInfo, crc8
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

SPEECH = PcmFormat(24_000, 1)
FRAMES = 24_123
BLOCK = 480
FORMATS = [SPEECH, PcmFormat(44_100, 2), PcmFormat(48_000, 1), PcmFormat(16_000, 2), PcmFormat(12_345, 1)]


@cache
def streamed(fmt: PcmFormat = SPEECH, block: int = BLOCK, sample_format: str = "s16") -> bytes:
    options = {"frame_size": str(block)}
    samples = sound(fmt, FRAMES)
    return encode("flac", "flac", samples, fmt.rate_hz, sample_format=sample_format, codec_options=options)


def frame_starts(data: bytes, block: int = BLOCK, rate_hz: int = 24_000) -> list[int]:
    reader, at = FlacHeaderReader(StreamInfo(block, rate_hz)), 0
    starts: list[int] = []
    while (at := data.find(b"\xff\xf8", at)) >= 0:
        header = reader.read(data, at)
        if header is not None and header.first_sample == len(starts) * block:
            starts.append(at)
        at += 1
    return starts


# --- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("block", [480, 1152, 4096])
def test_every_sample_comes_back_as_it_was(fmt: PcmFormat, block: int) -> None:
    decoder = FlacDecoder()

    assert decode(decoder, streamed(fmt, block)) == sound(fmt, FRAMES).tobytes()
    assert decoder.format == fmt
    assert decoder.decode_errors == 0


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_files_of_16_and_24_bits_give_their_upper_16(subtype: str) -> None:
    assert decode(FlacDecoder(), encode_file(sound(SPEECH, FRAMES), 24_000, "FLAC", subtype)) == (
        sound(SPEECH, FRAMES).tobytes()
    )


def test_24_bits_at_96_khz_come_out_as_16_bits() -> None:
    fmt = PcmFormat(96_000, 2)

    assert decode(FlacDecoder(), streamed(fmt, 4096, "s32")) == sound(fmt, FRAMES).tobytes()


def test_files_that_were_joined_are_played_one_after_the_other() -> None:
    decoder = FlacDecoder()

    assert decode_in_steps(decoder, streamed() + streamed(SPEECH, 1152), 1000) == sound(SPEECH, FRAMES).tobytes() * 2
    assert decoder.decode_errors == 0


# --- how it arrives ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 40_000), max_size=30))
def test_the_frames_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int]) -> None:
    assert decode(FlacDecoder(), streamed(), cuts) == sound(SPEECH, FRAMES).tobytes()


def test_byte_by_byte_is_the_same_as_all_at_once() -> None:
    assert decode_in_steps(FlacDecoder(), streamed(), 1) == sound(SPEECH, FRAMES).tobytes()


@pytest.mark.parametrize("block", [480, 1152])
def test_a_block_comes_out_when_the_next_one_has_begun(block: int) -> None:
    data = streamed(SPEECH, block)
    starts = frame_starts(data, block)
    needed = bytes_until_sound(FlacDecoder(), data)

    assert needed == starts[1] + 16
    assert (needed - starts[0]) / (len(data) - starts[0]) * FRAMES / SPEECH.rate_hz < 0.1


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0.3, 0.5, 0.9])
def test_a_block_with_a_wrong_bit_is_as_much_silence(where: float, caplog: pytest.LogCaptureFixture) -> None:
    starts = frame_starts(streamed())
    index = int(where * len(starts))
    damaged = bytearray(streamed())
    damaged[(starts[index] + starts[index + 1]) // 2] ^= 0x10
    decoder = FlacDecoder()
    heard = frames_of(decode(decoder, bytes(damaged)), 1)
    expected = sound(SPEECH, FRAMES).copy()
    expected[index * BLOCK : (index + 1) * BLOCK] = 0

    assert np.array_equal(heard, expected)
    assert decoder.decode_errors == 1
    assert len(caplog.records) == 1


def test_lost_blocks_are_as_much_silence() -> None:
    starts = frame_starts(streamed())
    decoder = FlacDecoder()
    heard = frames_of(decode(decoder, streamed()[: starts[10]] + streamed()[starts[14] :]), 1)

    assert len(heard) == FRAMES
    assert longest_silence(heard) == 4 * BLOCK
    assert np.array_equal(heard[14 * BLOCK :], sound(SPEECH, FRAMES)[14 * BLOCK :])


@pytest.mark.parametrize("step", [1, 777])
def test_bytes_between_blocks_cost_no_sample(step: int) -> None:
    start = frame_starts(streamed())[10]
    data = streamed()[:start] + b"\xff\xf8 not a block " * 5 + streamed()[start:]

    assert decode_in_steps(FlacDecoder(), data, step) == sound(SPEECH, FRAMES).tobytes()


def test_a_header_with_a_wrong_bit_costs_its_block_alone() -> None:
    starts = frame_starts(streamed())
    damaged = bytearray(streamed())
    damaged[starts[10] + 4] ^= 1
    decoder = FlacDecoder()
    heard = frames_of(decode(decoder, bytes(damaged)), 1)

    assert len(heard) == FRAMES
    assert longest_silence(heard) == BLOCK
    assert decoder.decode_errors == 1


def test_a_stream_that_is_cut_off_is_heard_up_to_there() -> None:
    starts = frame_starts(streamed())
    decoder = FlacDecoder()
    heard = decode(decoder, streamed()[: starts[10] + 100])

    assert heard.startswith(sound(SPEECH, FRAMES)[: 10 * BLOCK].tobytes())
    assert len(heard) // 2 <= 11 * BLOCK
    assert decoder.decode_errors == 1


@pytest.mark.parametrize(
    "data",
    [b"RIFF" + bytes(100), b"fLaC", b"fLaC\x80\0\0\0", streamed()[:60], b"fLaC\x80\0\0\x22" + bytes(34 + 100)],
    ids=["no FLAC", "marker alone", "no STREAMINFO", "metadata alone", "empty STREAMINFO"],
)
def test_what_holds_no_block_is_refused(data: bytes) -> None:
    with pytest.raises(NotAudio, match="FLAC"):
        decode(FlacDecoder(), data)


def test_metadata_that_do_not_end_are_refused() -> None:
    with pytest.raises(NotAudio, match="end"):
        FlacDecoder().decode(b"fLaC\x04\xff\xff\xff")


# --- checksums ---------------------------------------------------------------------------------------------------


def test_the_checksums_are_those_of_the_standard() -> None:
    # Check values of CRC-8/SMBUS and CRC-16/UMTS for the digits 1 to 9, as every catalogue of checksums gives them.
    assert crc8(b"123456789") == 0xF4
    assert 11 in Crc16().ends(b"123456789\xfe\xe8")
