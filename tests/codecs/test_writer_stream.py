"""The writer as a stream: only new bytes, one valid whole, soon, and in constant memory."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.codecs.writer_support import (
    EXACT,
    FORMATS,
    LOSSY,
    RATE_HZ,
    decoded,
    filed,
    likeness,
    pieces,
    sound,
    soundfile,
    streamed,
)
from voice_mcp import StreamingAudioWriter

SOUND = sound(7_000)
CUTS = st.lists(st.integers(0, 7_000), max_size=12)
START_FRAMES = {"mp3": 1_105, "aac": 1_024}
"""What decoders give of a codec's own before the first frame, in a stream that has no place to say so."""


def without_serial(pages: bytes) -> bytes:
    """Ogg pages with the random serial number and the checksums that cover it blanked."""
    out, at = bytearray(pages), 0
    while at < len(out):
        out[at + 14 : at + 18] = out[at + 22 : at + 26] = bytes(4)
        at += 27 + out[at + 26] + sum(out[at + 27 : at + 27 + out[at + 26]])
    return bytes(out)


# --- the same bytes, however they came ---------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@given(cuts=CUTS)
@settings(max_examples=20, deadline=None)
def test_the_bytes_do_not_depend_on_how_the_audio_was_cut(format: str, cuts: list[int]) -> None:
    whole, cut = streamed(format, [SOUND]), streamed(format, pieces(SOUND, cuts))

    if format == "ogg":
        whole, cut = without_serial(whole), without_serial(cut)
    assert cut == whole


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "ogg"])
@given(cuts=CUTS)
@settings(max_examples=10, deadline=None)
def test_nor_do_they_when_the_rate_has_to_change(format: str, cuts: list[int]) -> None:
    assert streamed(format, pieces(SOUND, cuts), rate_hz=17_000) == streamed(format, [SOUND], rate_hz=17_000)


@pytest.mark.parametrize("format", FORMATS)
def test_one_sample_at_a_time_is_the_same_again(format: str) -> None:
    data = SOUND[:3_000]
    apart = streamed(format, pieces(data, range(1_500)))

    assert decoded(format, apart) == decoded(format, streamed(format, [data]))


@pytest.mark.parametrize("format", FORMATS)
def test_the_writer_says_of_each_call_only_what_is_new(format: str) -> None:
    writer = StreamingAudioWriter(format, RATE_HZ)
    before = writer.write_chunk(SOUND)

    assert writer.write_chunk(b"") == b""
    assert decoded(format, before + writer.finalize()) == decoded(format, streamed(format, [SOUND]))


# --- what comes out when it is decoded ---------------------------------------------------------------------------


@pytest.mark.parametrize("format", EXACT)
@given(frames=st.integers(0, 3_000), channels=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_what_went_in_comes_out_where_the_format_can(format: str, frames: int, channels: int) -> None:
    data = sound(frames, channels)

    assert decoded(format, streamed(format, [data], channels=channels)) == data
    assert decoded(format, filed(format, [data], channels=channels)) == data


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_libsndfile_reads_the_same(format: str) -> None:
    stereo = sound(5_000, channels=2)
    # It cannot read a FLAC of unknown length, whoever made it.
    data = streamed(format, [stereo], 44_100, 2, frames=5_000 if format == "flac" else None)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels, file.subtype) == (44_100, 2, "PCM_16")
        assert bytes(file.buffer_read(dtype="int16")) == stereo


@pytest.mark.parametrize("rate_hz", [12_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@given(frames=st.integers(50, 9_000))
@example(frames=298)  # 22,050 Hz: ends one sample behind what resampling gives
@settings(max_examples=10, deadline=None)
def test_opus_is_exactly_as_long_as_what_went_in(rate_hz: int, frames: int) -> None:
    heard = decoded("opus", streamed("opus", [bytes(2 * frames)], rate_hz))

    assert len(heard) // 2 == round(frames * 48_000 / rate_hz)


@given(frames=st.integers(1, 9_000))
@settings(max_examples=10, deadline=None)
def test_vorbis_is_exactly_as_long_as_what_went_in(frames: int) -> None:
    assert len(decoded("ogg", streamed("ogg", [bytes(2 * frames)]))) == 2 * frames


@pytest.mark.parametrize(("format", "codec_frames"), [("mp3", 576), ("aac", 1_024)])
@given(frames=st.integers(1, 9_000))
@settings(max_examples=15, deadline=None)
def test_mpeg_streams_add_their_start_and_fill_their_last_frame(format: str, codec_frames: int, frames: int) -> None:
    added = len(decoded(format, streamed(format, [bytes(2 * frames)]))) // 2 - frames

    assert START_FRAMES[format] <= added < START_FRAMES[format] + 2 * codec_frames


@pytest.mark.parametrize("format", LOSSY)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_heard_is_what_was_said_and_stands_where_it_stood(format: str, channels: int) -> None:
    said = sound(48_000, channels, 48_000)
    heard = decoded(format, streamed(format, [said], 48_000, channels))[START_FRAMES.get(format, 0) * 2 * channels :]

    assert likeness(heard, said) > 0.98


@pytest.mark.parametrize(
    ("format", "rate_hz", "encoded_hz"),
    [
        ("pcm", 17_000, 17_000),
        ("wav", 17_000, 17_000),
        ("flac", 17_000, 17_000),
        ("ogg", 17_000, 17_000),
        ("mp3", 17_000, 22_050),
        ("mp3", 96_000, 48_000),
        ("aac", 17_000, 22_050),
        ("opus", 17_000, 48_000),
        ("opus", 24_000, 48_000),
    ],
)
def test_a_rate_the_codec_cannot_take_is_changed_and_told(format: str, rate_hz: int, encoded_hz: int) -> None:
    writer = StreamingAudioWriter(format, rate_hz)
    assert writer.encoded_rate_hz == encoded_hz
    seconds = 2
    heard = decoded(format, writer.write_chunk(bytes(2 * seconds * rate_hz)) + writer.finalize())

    added = len(heard) // 2 - seconds * encoded_hz
    assert 0 <= added < START_FRAMES.get(format, 0) + (2 * 1_152 if format in START_FRAMES else 1)


def test_bits_can_be_saved() -> None:
    data = sound(24_000)
    for format in ("mp3", "opus", "aac"):
        assert len(streamed(format, [data], bitrate=16_000)) < 0.7 * len(streamed(format, [data], bitrate=64_000))


# --- soon, and with little -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "rate_hz", "most_ms"),
    [
        ("pcm", 24_000, 1),
        ("wav", 24_000, 1),
        ("flac", 24_000, 40),
        ("flac", 44_100, 41),
        ("opus", 24_000, 20),
        ("opus", 22_050, 26),
        ("mp3", 24_000, 48),
        ("mp3", 44_100, 80),
        ("aac", 24_000, 86),
        ("ogg", 24_000, 900),
    ],
)
def test_no_sample_waits_longer_for_bytes_than_promised(format: str, rate_hz: int, most_ms: int) -> None:
    writer = StreamingAudioWriter(format, rate_hz)
    writer.write_chunk(b"")
    millisecond = rate_hz // 1000
    data = sound(rate_hz * 2, rate_hz=rate_hz)
    last_frame = longest = 0
    for frame in range(0, rate_hz * 2 - millisecond, millisecond):
        if writer.write_chunk(data[2 * frame : 2 * (frame + millisecond)]):
            longest, last_frame = max(longest, frame + millisecond - last_frame), frame + millisecond

    assert 0 < longest <= most_ms * rate_hz / 1000


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_audio(format: str) -> None:
    writer = StreamingAudioWriter(format, RATE_HZ)
    chunk = sound(RATE_HZ)
    for _ in range(3):
        writer.write_chunk(chunk)
    tracemalloc.start()
    try:
        for _ in range(3):
            writer.write_chunk(chunk)
        early, _ = tracemalloc.get_traced_memory()
        for _ in range(30):
            writer.write_chunk(chunk)
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Half a minute of audio is 1.4 MB as it comes and 0.1 MB at the least as it goes.
    assert late - early < 20_000


@pytest.mark.parametrize("format", FORMATS)
@given(chunks=st.integers(4, 12))
@settings(max_examples=6, deadline=None)
def test_a_stream_that_breaks_off_can_be_decoded_so_far(format: str, chunks: int) -> None:
    chunk_frames = 9_600
    data = sound(chunk_frames * chunks)
    writer = StreamingAudioWriter(format, RATE_HZ)
    sent = b"".join(writer.write_chunk(chunk) for chunk in pieces(data, range(0, len(data) // 2, chunk_frames)))
    writer.close()

    whole = decoded(format, sent)
    assert len(whole) / 2 / writer.encoded_rate_hz > (len(data) / 2 / RATE_HZ) - (0.9 if format == "ogg" else 0.15)
    if format in EXACT:
        assert data.startswith(whole)


# --- headers that cannot know ------------------------------------------------------------------------------------


def test_a_flac_stream_says_that_it_knows_neither_length_nor_checksum() -> None:
    head = streamed("flac", [SOUND])[:42]

    assert head[:8] == b"fLaC\x00\x00\x00\x22"
    assert int.from_bytes(head[21:26], "big") & 0xFFFFFFFFF == 0
    assert head[26:42] == bytes(16)


def test_a_flac_stream_of_known_length_says_it() -> None:
    data = streamed("flac", pieces(SOUND, [1_000]), frames=7_000)

    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert file.frames == 7_000
    assert len(data) == len(streamed("flac", [SOUND]))
    assert decoded("flac", data) == SOUND


def test_an_mp3_stream_is_bare_mpeg_frames() -> None:
    data = streamed("mp3", [SOUND])

    assert data[:1] == b"\xff"
    assert b"Xing" not in data and b"Info" not in data and b"ID3" not in data


def test_an_opus_stream_has_a_page_for_each_packet_and_ends_with_a_mark() -> None:
    data = streamed("opus", [bytes(2 * 24_000)])
    pages = [page for page in data.split(b"OggS")[1:]]
    positions = [int.from_bytes(page[2:10], "little") for page in pages]

    assert [page[1] for page in pages] == [2, *[0] * (len(pages) - 2), 4]
    assert [int.from_bytes(page[14:18], "little") for page in pages] == list(range(len(pages)))
    assert positions[:4] == [0, 0, 960, 1_920]
    assert positions[-1] == 48_000 + 312
    assert positions == sorted(positions)
