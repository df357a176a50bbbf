"""AAC in ADTS frames as servers stream it."""

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
    longest_silence,
    sound,
)
from voice_mcp.codecs.aac import AacDecoder, read_header
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

SPEECH = PcmFormat(24_000, 1)
FRAMES = 24_123
FORMATS = [SPEECH, PcmFormat(44_100, 2), PcmFormat(48_000, 1), PcmFormat(16_000, 2)]
BLOCK = 1024
PRIMING = 1024


@cache
def streamed(fmt: PcmFormat = SPEECH) -> bytes:
    return encode("adts", "aac", sound(fmt, FRAMES), fmt.rate_hz)


def frame_starts(data: bytes) -> list[int]:
    starts, at = [], 0
    while at + 7 <= len(data) and (header := read_header(data, at)):
        starts.append(at)
        at += header.size_bytes
    return starts


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_frame_is_heard_and_only_the_encoders_priming_and_filling_are_added(fmt: PcmFormat) -> None:
    decoder = AacDecoder()
    heard = frames_of(decode(decoder, streamed(fmt)), fmt.channels)

    assert decoder.format == fmt
    assert len(heard) == len(frame_starts(streamed(fmt))) * BLOCK
    assert FRAMES + PRIMING <= len(heard) < FRAMES + PRIMING + BLOCK
    assert lag(heard, sound(fmt, FRAMES)) == PRIMING
    assert likeness(heard[PRIMING:], sound(fmt, FRAMES)) > 0.98
    assert decoder.decode_errors == 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 12_000), max_size=30))
def test_the_frames_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int]) -> None:
    assert decode(AacDecoder(), streamed(), cuts) == decode(AacDecoder(), streamed())


def test_byte_by_byte_is_the_same_as_all_at_once() -> None:
    assert decode_in_steps(AacDecoder(), streamed(), 1) == decode(AacDecoder(), streamed())


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_the_first_frame_comes_out_when_the_second_one_begins(fmt: PcmFormat) -> None:
    data = streamed(fmt)
    needed = bytes_until_sound(AacDecoder(), data)

    assert needed == frame_starts(data)[1] + 7
    assert needed / len(data) * FRAMES / fmt.rate_hz < 0.1


def test_a_tag_in_front_is_not_heard() -> None:
    tag = b"ID3\x04\0\0\0\0\0\x3f" + b"PRIV".ljust(63, b"\xff")
    decoder = AacDecoder()

    assert decode_in_steps(decoder, tag + streamed(), 5) == decode(AacDecoder(), streamed())
    assert decoder.decode_errors == 0


def test_a_frame_that_cannot_be_decoded_is_as_much_silence(caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(streamed())
    starts = frame_starts(streamed())
    for index in (5, 6, 12):
        data[starts[index] + 7 : starts[index + 1]] = b"\xff" * (starts[index + 1] - starts[index] - 7)
    decoder = AacDecoder()
    heard = frames_of(decode(decoder, bytes(data)), 1)

    assert len(heard) == len(starts) * BLOCK
    assert longest_silence(heard) >= BLOCK
    assert decoder.decode_errors == 3
    assert len(caplog.records) == 1


def test_what_is_lost_between_frames_is_counted_and_the_rest_is_heard() -> None:
    starts = frame_starts(streamed())
    data = streamed()[: starts[8] + 30] + streamed()[starts[10] + 30 :]
    decoder = AacDecoder()
    heard = decode(decoder, data)

    assert decoder.decode_errors >= 1
    assert len(starts) - 5 <= len(heard) // 2 // BLOCK <= len(starts) - 2


@pytest.mark.parametrize("data", [b"\0" * 3000, b"\xff\xf1\x50\x80\x02\x1f\xfc", b"\xff\xfb\x90\x00" * 500])
def test_a_stream_without_a_frame_is_refused(data: bytes) -> None:
    with pytest.raises(NotAudio, match="AAC"):
        decode(AacDecoder(), data)


@pytest.mark.parametrize(
    "header",
    ["fff17c8002fffc", "fff1508000fffc", "fff1508000dffc", "fffb508002fffc"],
    ids=["bad rate", "no data", "checksum alone", "layer III"],
)
def test_what_only_looks_like_a_header_is_none(header: str) -> None:
    assert read_header(bytes.fromhex(header), 0) is None
