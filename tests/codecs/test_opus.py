"""Opus in Ogg as servers stream it: exact to the sample, and not confused by losses."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
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
from tests.codecs.ogg_pages_support import RawPage, join, renumbered, split
from voice_mcp.codecs._av import PacketDecoder
from voice_mcp.codecs.opus import OpusDecoder
from voice_mcp.codecs.opus_packets import OpusHead, open_packet_decoder, packet_samples
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

MONO = PcmFormat(48_000, 1)
STEREO = PcmFormat(48_000, 2)
FRAMES = 48_123
PACKET = 960


@cache
def streamed(fmt: PcmFormat = MONO, page_ms: int = 20, packet_ms: str = "20") -> bytes:
    return encode(
        "ogg",
        "libopus",
        sound(fmt, FRAMES),
        48_000,
        codec_options={"frame_duration": packet_ms},
        container_options={"page_duration": str(page_ms * 1000)},
    )


@cache
def heard_whole() -> bytes:
    return decode(OpusDecoder(), streamed())


def pages_of(fmt: PcmFormat = MONO, page_ms: int = 20) -> list[RawPage]:
    return split(streamed(fmt, page_ms))


def head(pre_skip: int = 312, gain: int = 0, channels: int = 1, family: int = 0, version: int = 1) -> bytes:
    return struct.pack("<8sBBHIhB", b"OpusHead", version, channels, pre_skip, 24_000, gain, family)


def with_head(**fields: int) -> bytes:
    first, *others = pages_of()
    return join([replace(first, body=head(**fields)), *others])


# --- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", [MONO, STEREO], ids=str)
@pytest.mark.parametrize("page_ms", [20, 60, 1000])
@pytest.mark.parametrize("packet_ms", ["2.5", "10", "20", "60"])
def test_exactly_the_frames_that_were_encoded_are_heard(fmt: PcmFormat, page_ms: int, packet_ms: str) -> None:
    decoder = OpusDecoder()
    heard = frames_of(decode(decoder, streamed(fmt, page_ms, packet_ms)), fmt.channels)

    assert decoder.format == fmt
    assert len(heard) == FRAMES
    assert abs(lag(heard, sound(fmt, FRAMES))) <= 1
    assert likeness(heard, sound(fmt, FRAMES)) > 0.95
    assert decoder.decode_errors == 0


def test_streams_that_follow_one_another_are_played_one_after_the_other() -> None:
    decoder = OpusDecoder()
    heard = decode(decoder, streamed() + streamed(STEREO) + streamed())

    assert decoder.format == MONO
    assert len(heard) // 2 == 3 * FRAMES
    assert heard.startswith(heard_whole()) and heard.endswith(heard_whole())
    assert decoder.decode_errors == 0


def test_a_stream_that_runs_beside_is_left_out() -> None:
    other = [replace(page, serial=77, body=b"x" * len(page.body)) for page in pages_of()]
    mixed = [page for pair in zip(pages_of(), other, strict=True) for page in pair]
    decoder = OpusDecoder()

    assert decode(decoder, join(mixed)) == heard_whole()
    assert decoder.decode_errors == 0


def test_a_stream_that_is_joined_in_the_middle_begins_there() -> None:
    pages = pages_of()
    decoder = OpusDecoder()
    heard = decode(decoder, join(renumbered([*pages[:2], *pages[20:]])))

    assert len(heard) // 2 == FRAMES + 312 - 18 * PACKET - 312
    assert decoder.decode_errors == 0


def test_the_gain_of_the_header_is_applied() -> None:
    softer = frames_of(decode(OpusDecoder(), with_head(gain=-6 * 256)), 1).astype(float)
    whole = frames_of(heard_whole(), 1).astype(float)

    assert 20 * np.log10(np.sqrt((softer**2).mean()) / np.sqrt((whole**2).mean())) == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize("pre_skip", [0, 312, 3840, 10_000])
def test_what_the_header_says_is_skipped_at_the_beginning(pre_skip: int) -> None:
    assert len(decode(OpusDecoder(), with_head(pre_skip=pre_skip))) // 2 == FRAMES + 312 - pre_skip


def test_packets_that_go_on_over_pages_are_put_together() -> None:
    first, tags, *others = pages_of(page_ms=1000)
    pieces: list[RawPage] = [first, tags]
    for page in others:
        # In the middle of a segment table there is most often the middle of a packet of more than 255 bytes.
        middle = next((i + 1 for i, size in enumerate(page.lacing) if size == 255), 0)
        if not middle:
            pieces.append(page)
            continue
        size = sum(page.lacing[:middle])
        ended = any(segment < 255 for segment in page.lacing[:middle])
        granule = page.granule - PACKET if ended else -1
        pieces.append(replace(page, lacing=page.lacing[:middle], body=page.body[:size], granule=granule, flags=0))
        rest = replace(page, lacing=page.lacing[middle:], body=page.body[size:], flags=page.flags | 1)
        pieces.append(rest)

    assert len(pieces) > len(others) + 2
    decoder = OpusDecoder()
    assert len(decode(decoder, join(renumbered(pieces)))) // 2 == FRAMES
    assert decoder.decode_errors == 0


# --- how it arrives ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 15_000), max_size=30), st.sampled_from([20, 1000]))
def test_the_frames_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int], page_ms: int) -> None:
    data = streamed(MONO, page_ms)

    assert decode(OpusDecoder(), data, cuts) == decode(OpusDecoder(), data)


def test_byte_by_byte_is_the_same_as_all_at_once() -> None:
    assert decode_in_steps(OpusDecoder(), streamed(), 1) == heard_whole()


def test_the_first_page_of_sound_is_heard_as_soon_as_it_is_whole() -> None:
    pages = pages_of()

    assert bytes_until_sound(OpusDecoder(), streamed()) == len(join(pages[:3]))
    assert pages[2].granule / 48_000 < 0.06


# --- losses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [range(10, 11), range(10, 14), range(2, 4)], ids=["one", "four", "the first"])
def test_lost_pages_are_as_much_silence(lost: range, caplog: pytest.LogCaptureFixture) -> None:
    pages = pages_of()
    decoder = OpusDecoder()
    heard = frames_of(decode(decoder, join([*pages[: lost.start], *pages[lost.stop :]])), 1)

    assert len(heard) == FRAMES
    assert longest_silence(heard) >= len(lost) * PACKET - 312
    assert decoder.decode_errors == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("offset", [0, 5, 8, 15, 20, 23, 26, 27, 40], ids=str)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_page_with_a_wrong_byte_is_as_much_silence_wherever_it_is_wrong(offset: int, step: int) -> None:
    pages = pages_of()
    before, page, after = join(pages[:10]), bytearray(pages[10].data()), join(pages[11:])
    page[offset] ^= 0xFF
    decoder = OpusDecoder()
    heard = frames_of(decode_in_steps(decoder, before + bytes(page) + after, step), 1)

    assert len(heard) == FRAMES
    assert decoder.decode_errors == 1
    assert np.array_equal(heard[: 8 * PACKET - 312], frames_of(heard_whole(), 1)[: 8 * PACKET - 312])
    assert likeness(heard[10 * PACKET :], sound(MONO, FRAMES)[10 * PACKET :]) > 0.95


def test_the_wait_for_a_page_with_a_wrong_length_ends_with_the_next_page() -> None:
    pages = pages_of()
    page = bytearray(pages[10].data())
    page[27] = 0xFF
    page[26] = 0xFF
    decoder = OpusDecoder()
    before = decoder.decode(join(pages[:10]) + bytes(page))

    assert before
    assert len(decoder.decode(pages[11].data())) // 2 == 2 * PACKET


def test_a_packet_that_cannot_be_decoded_is_as_much_silence() -> None:
    pages = pages_of()
    broken = b"\xf1" + b"\xff" * 21  # two halves of 10 ms each that are not equally long
    pages[10] = replace(pages[10], lacing=bytes([len(broken)]), body=broken)
    decoder = OpusDecoder()
    heard = decode(decoder, join(pages))

    assert len(heard) // 2 == FRAMES
    assert decoder.decode_errors == 1


def test_a_page_time_beyond_reason_is_no_loss() -> None:
    pages = pages_of()
    del pages[10]
    pages = [
        replace(page, granule=page.granule + (1 << 50)) if index >= 10 else page for index, page in enumerate(pages)
    ]
    heard = decode(OpusDecoder(), join(pages))

    assert len(heard) // 2 == FRAMES - PACKET


def test_garbage_between_pages_is_skipped() -> None:
    pages = pages_of()
    decoder = OpusDecoder()
    heard = decode(decoder, b"OggS?" + join(pages[:10]) + b"OggS\0\0 garbage" * 9 + join(pages[10:]))

    assert heard == heard_whole()
    assert decoder.decode_errors == 2


def test_a_stream_that_is_cut_off_is_heard_up_to_there() -> None:
    decoder = OpusDecoder()
    heard = decode(decoder, join(pages_of()[:12]) + b"OggS\0\0")

    assert heard_whole().startswith(heard)
    assert len(heard) // 2 == 10 * PACKET - 312
    assert decoder.decode_errors == 1


@pytest.mark.parametrize(
    "data",
    [b"nothing like it" * 9, b"OggS", with_head(channels=0), with_head(version=16), with_head(channels=3)],
    ids=["no Ogg", "magic alone", "no channels", "version 16", "three in family 0"],
)
def test_what_is_no_opus_is_refused(data: bytes) -> None:
    with pytest.raises(NotAudio, match="Opus"):
        decode(OpusDecoder(), data)


def test_headers_alone_are_no_sound() -> None:
    with pytest.raises(NotAudio, match="Opus"):
        decode(OpusDecoder(), join(pages_of()[:2]))


# --- packets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "samples"),
    [("00", 480), ("18", 2880), ("60", 480), ("68", 960), ("80", 120), ("98", 960), ("f9", 1920), ("fb06", 5760)]
    + [("fb07", 0), ("fb", 0), ("fb00", 0), ("", 0)],
)
def test_a_packet_says_how_long_it_is(packet: str, samples: int) -> None:
    assert packet_samples(bytes.fromhex(packet)) == samples


@pytest.mark.skipif(find_spec("opuslib") is None, reason="opuslib is not installed")
@pytest.mark.parametrize("fmt", [MONO, STEREO], ids=str)
def test_opuslib_and_ffmpeg_give_as_many_frames(fmt: PcmFormat) -> None:
    pages = pages_of(fmt)
    first = OpusHead.parse(pages[0].body)
    decoders: list[Any] = [
        open_packet_decoder(first),
        PacketDecoder("libopus", "Opus", extradata=first.decoder_header),
    ]
    ours, theirs = (b"".join(decoder.decode(page.body) or b"" for page in pages[2:]) for decoder in decoders)

    assert not isinstance(decoders[0], PacketDecoder)
    assert len(ours) == len(theirs)
    assert likeness(frames_of(ours, fmt.channels), frames_of(theirs, fmt.channels)) > 0.999
    assert decoders[0].decode(b"\xff\xff\xff") is None
