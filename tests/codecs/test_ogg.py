"""Vorbis in Ogg: exact to the sample, and not confused by losses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.material import decode, decode_in_steps, encode_file, frames_of, lag, likeness, longest_silence, sound
from tests.codecs.ogg_pages_support import RawPage, join, renumbered, split
from voice_mcp.codecs.ogg import OggVorbisDecoder
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

SPEECH = PcmFormat(24_000, 1)
FORMATS = [SPEECH, PcmFormat(44_100, 2), PcmFormat(48_000, 1)]
FRAMES = 3 * 24_000 + 123


@cache
def file(fmt: PcmFormat = SPEECH) -> bytes:
    return encode_file(sound(fmt, FRAMES), fmt.rate_hz, "OGG", "VORBIS")


@cache
def heard_whole() -> bytes:
    return decode(OggVorbisDecoder(), file())


@cache
def small_pages() -> tuple[RawPage, ...]:
    """The same sound with a page for every packet, as a server that cares for latency sends it.

    Only the last packet of an old page has a time, so the others share what is left evenly enough: they have none.
    """
    pages: list[RawPage] = []
    for page in split(file()):
        begin = index = 0
        while index < len(page.lacing):
            end = index
            while end < len(page.lacing) - 1 and page.lacing[end] == 255:
                end += 1
            lacing = page.lacing[index : end + 1]
            size = sum(lacing)
            last = end == len(page.lacing) - 1
            granule = page.granule if last else -1
            flags = page.flags if last or page.flags & 2 else page.flags & ~4
            pages.append(
                replace(page, lacing=lacing, body=page.body[begin : begin + size], granule=granule, flags=flags)
            )
            begin, index = begin + size, end + 1
    return tuple(renumbered(pages))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_exactly_the_frames_that_were_encoded_are_heard(fmt: PcmFormat) -> None:
    decoder = OggVorbisDecoder()
    heard = frames_of(decode(decoder, file(fmt)), fmt.channels)

    assert decoder.format == fmt
    assert len(heard) == FRAMES
    assert lag(heard, sound(fmt, FRAMES)) == 0
    assert likeness(heard, sound(fmt, FRAMES)) > 0.98
    assert decoder.decode_errors == 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 20_000), max_size=30))
def test_the_frames_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int]) -> None:
    assert decode(OggVorbisDecoder(), file(), cuts) == heard_whole()


def test_byte_by_byte_is_the_same_as_all_at_once() -> None:
    assert decode_in_steps(OggVorbisDecoder(), file(), 1) == heard_whole()


def test_files_that_were_joined_are_played_one_after_the_other() -> None:
    decoder = OggVorbisDecoder()

    assert decode(decoder, file() * 2) == heard_whole() * 2
    assert decoder.decode_errors == 0


def test_a_packet_is_heard_when_its_page_is_whole_however_small_the_pages_are() -> None:
    decoder = OggVorbisDecoder()
    sizes = [len(decoder.decode(page.data())) for page in small_pages()]

    assert sizes[:4] == [0, 0, 0, 0]
    assert all(sizes[4:8])


def test_lost_pages_are_as_much_silence(caplog: pytest.LogCaptureFixture) -> None:
    pages = split(file())
    assert len(pages) > 4
    decoder = OggVorbisDecoder()
    heard = frames_of(decode(decoder, join([*pages[:3], *pages[4:]])), 1)

    assert len(heard) == FRAMES
    assert longest_silence(heard) > 1000
    assert decoder.decode_errors == 1
    assert len(caplog.records) == 1


def test_a_packet_that_cannot_be_decoded_is_skipped_and_counted() -> None:
    pages = list(small_pages())
    where = next(index for index, page in enumerate(pages[8:], 8) if page.granule == -1)
    pages[where] = replace(pages[where], lacing=b"\x03", body=b"\x01\xff\xff")
    decoder = OggVorbisDecoder()
    heard = decode(decoder, join(pages))

    assert decoder.decode_errors == 1
    assert FRAMES - 4096 <= len(heard) // 2 <= FRAMES


@pytest.mark.parametrize("missing", [0, 1])
def test_a_stream_without_its_headers_is_refused(missing: int) -> None:
    pages = split(file())
    del pages[missing]
    with pytest.raises(NotAudio):
        decode(OggVorbisDecoder(), join(pages))


@pytest.mark.parametrize(("at", "value"), [(11, 0), (11, 9), (12, 1), (28, 0xFF)], ids=str)
def test_a_header_that_makes_no_sense_is_refused(at: int, value: int) -> None:
    first, *others = split(file())
    body = bytearray(first.body)
    body[at : at + 1] = bytes([value])
    if at == 12:
        body[13:16] = bytes(3)
    with pytest.raises(NotAudio):
        decode(OggVorbisDecoder(), join([replace(first, body=bytes(body)), *others]))
