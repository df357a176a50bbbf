"""MP3 as servers stream it and as tools write it."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import (
    bytes_until_sound,
    decode,
    decode_in_steps,
    encode,
    frames_of,
    lag,
    likeness,
    sound,
)
from voice_mcp.codecs.mp3 import Mp3Decoder, read_header
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

SPEECH = PcmFormat(24_000, 1)
FRAMES = 24_123
FORMATS = [SPEECH, PcmFormat(44_100, 2), PcmFormat(48_000, 1), PcmFormat(16_000, 1), PcmFormat(8_000, 1)]
NO_TAGS = {"write_xing": "0", "id3v2_version": "0"}
ENCODER_DELAY = 1105


@cache
def streamed(fmt: PcmFormat = SPEECH) -> bytes:
    """As it is sent while it is made: frames and nothing else."""
    return encode("mp3", "libmp3lame", sound(fmt, FRAMES), fmt.rate_hz, container_options=NO_TAGS)


@cache
def finished(fmt: PcmFormat = SPEECH) -> bytes:
    """As it lies in a file: ID3v2, an info frame with the encoder's delay, frames."""
    return encode("mp3", "libmp3lame", sound(fmt, FRAMES), fmt.rate_hz, streamed=False)


def frame_starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at + 4 <= len(data) and (header := read_header(data, at)):
        starts.append(at)
        at += header.size_bytes
    return starts


def id3v2(size_bytes: int) -> bytes:
    sizes = [size_bytes >> shift & 0x7F for shift in (21, 14, 7, 0)]
    return b"ID3\x04\0\0" + bytes(sizes) + b"\xff\xfb" * (size_bytes // 2) + bytes(size_bytes % 2)


# --- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_finished_file_gives_exactly_the_frames_that_were_encoded(fmt: PcmFormat) -> None:
    decoder = Mp3Decoder()
    heard = frames_of(decode(decoder, finished(fmt)), fmt.channels)

    assert decoder.format == fmt
    assert len(heard) == FRAMES
    assert lag(heard, sound(fmt, FRAMES)) == 0
    assert likeness(heard, sound(fmt, FRAMES)) > 0.98
    assert decoder.decode_errors == 0


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_a_stream_without_an_info_frame_is_played_whole(fmt: PcmFormat) -> None:
    decoder = Mp3Decoder()
    heard = frames_of(decode(decoder, streamed(fmt)), fmt.channels)
    frame_samples = 1152 if fmt.rate_hz >= 32_000 else 576

    assert len(heard) == len(frame_starts(streamed(fmt))) * frame_samples
    assert FRAMES <= len(heard) <= FRAMES + ENCODER_DELAY + 2 * frame_samples
    assert lag(heard, sound(fmt, FRAMES)) == ENCODER_DELAY
    assert decoder.decode_errors == 0


def test_files_that_were_joined_are_trimmed_one_by_one() -> None:
    decoder = Mp3Decoder()

    assert decode(decoder, finished() * 3) == decode(Mp3Decoder(), finished()) * 3
    assert decoder.decode_errors == 0


def test_sound_that_an_info_frame_did_not_count_is_played_all_the_same() -> None:
    alone = len(decode(Mp3Decoder(), finished()))
    more = len(decode(Mp3Decoder(), streamed()))

    assert len(decode(Mp3Decoder(), finished() + streamed())) == alone + more


def test_a_stream_that_goes_on_in_another_format_is_converted_to_the_first() -> None:
    decoder = Mp3Decoder()
    heard = decode(decoder, streamed() + streamed(FORMATS[1]))
    expected = FRAMES + FRAMES * 24_000 // 44_100

    assert decoder.format == SPEECH
    assert expected <= len(heard) // 2 <= expected + 6 * 1152


# --- how it arrives ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 12_000), max_size=30), st.booleans())
def test_the_frames_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int], whole_file: bool) -> None:
    data = finished() if whole_file else streamed()

    assert decode(Mp3Decoder(), data, cuts) == decode(Mp3Decoder(), data)


@pytest.mark.parametrize("data", [streamed(), finished()], ids=["streamed", "finished"])
def test_byte_by_byte_is_the_same_as_all_at_once(data: bytes) -> None:
    assert decode_in_steps(Mp3Decoder(), data, 1) == decode(Mp3Decoder(), data)


@pytest.mark.parametrize("fmt", FORMATS[:4], ids=str)
def test_the_first_frame_comes_out_when_the_second_one_begins(fmt: PcmFormat) -> None:
    data = streamed(fmt)

    assert bytes_until_sound(Mp3Decoder(), data) == frame_starts(data)[1] + 4


def test_the_first_sound_of_speech_needs_less_than_100_ms_of_the_stream() -> None:
    share = bytes_until_sound(Mp3Decoder(), streamed()) / len(streamed())

    assert share * FRAMES / SPEECH.rate_hz < 0.1


# --- what stands around it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [1, 77, 5000, 100_000])
@pytest.mark.parametrize("step", [1, 4096])
def test_a_tag_in_front_is_not_heard(size_bytes: int, step: int) -> None:
    decoder = Mp3Decoder()

    assert decode_in_steps(decoder, id3v2(size_bytes) + streamed(), step) == decode(Mp3Decoder(), streamed())
    assert decoder.decode_errors == 0


@pytest.mark.parametrize(
    "trailer",
    [
        b"TAG" + bytes(125),
        b"APETAGEX" + (2000).to_bytes(4, "little") + (77).to_bytes(4, "little") + bytes(4) + b"\0\0\0\xa0" + bytes(85),
        id3v2(300),
    ],
    ids=["ID3v1", "APE", "ID3v2"],
)
@pytest.mark.parametrize("step", [1, 4096])
def test_a_tag_behind_is_not_heard(trailer: bytes, step: int) -> None:
    decoder = Mp3Decoder()

    assert decode_in_steps(decoder, streamed() + trailer, step) == decode(Mp3Decoder(), streamed())
    assert decoder.decode_errors == 0


def test_a_tag_that_does_not_end_is_refused() -> None:
    with pytest.raises(NotAudio, match="tag"):
        Mp3Decoder().decode(b"ID3\x04\0\0\x7f\x7f\x7f\x7f")


# --- damage ------------------------------------------------------------------------------------------------------


def test_a_damaged_stretch_is_skipped_and_counted_and_the_rest_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    starts = frame_starts(streamed())
    damaged = bytearray(streamed())
    for start in (starts[5], starts[20]):
        damaged[start : start + 40] = bytes(40)
    decoder = Mp3Decoder()
    heard = decode(decoder, bytes(damaged))

    assert decoder.decode_errors == 2
    assert len(heard) >= len(decode(Mp3Decoder(), streamed())) - 2 * 2 * 576 * 2
    assert len(caplog.records) == 1
    assert "damaged" in caplog.messages[0]


def test_garbage_in_front_is_skipped() -> None:
    decoder = Mp3Decoder()

    assert decode(decoder, b"\xff\xfb garbage \xff" * 20 + streamed()) == decode(Mp3Decoder(), streamed())
    assert decoder.decode_errors == 1


def test_half_a_frame_at_the_end_is_not_heard() -> None:
    cut_off = streamed()[: frame_starts(streamed())[10] + 50]
    decoder = Mp3Decoder()

    assert len(decode(decoder, cut_off)) == 10 * 576 * 2
    assert decoder.decode_errors == 1


def test_a_single_frame_is_heard() -> None:
    assert len(decode(Mp3Decoder(), streamed()[: frame_starts(streamed())[1]])) == 576 * 2


def test_no_bytes_are_no_frames_and_no_error() -> None:
    assert decode(Mp3Decoder(), b"") == b""


@pytest.mark.parametrize("data", [b"\0" * 3000, b"\xff\xfb\x90\x00", b"TAG" + bytes(125)])
def test_a_stream_without_a_frame_is_refused(data: bytes) -> None:
    with pytest.raises(NotAudio, match="MP3"):
        decode(Mp3Decoder(), data)


@pytest.mark.parametrize(
    "header",
    ["fffb0000", "fffbf000", "fffb9c00", "ffeb9000", "fffd9000", "fff99000", "fffb9002", "fe000000"],
    ids=["free", "bad bitrate", "bad rate", "bad version", "layer II", "ADTS", "bad emphasis", "no sync"],
)
def test_what_only_looks_like_a_header_is_none(header: str) -> None:
    assert read_header(bytes.fromhex(header), 0) is None
