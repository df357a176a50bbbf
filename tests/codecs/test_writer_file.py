"""The writer as the maker of files: exact headers, tags, and a good file also after a bad end."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import av
import miniaudio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.writer_support import (
    FORMATS,
    RATE_HZ,
    decoded,
    filed,
    pieces,
    sound,
    soundfile,
    streamed,
    tags_of,
)
from voice_mcp import StreamingAudioWriter
from voice_mcp.audio.wav import wav_header
from voice_mcp.codecs.encoders.wav import riff_header
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.codecs.writer import synthetic_tags
from voice_mcp.types import PcmFormat

SOUND = sound(7_000)
TAGS = {"title": "Grüße", "artist": "espeak", "comment": "An answer", "synthetic": "true"}
MONO = PcmFormat(RATE_HZ, 1)


# --- headers -----------------------------------------------------------------------------------------------------


def test_a_wav_stream_has_the_44_bytes_that_every_reader_takes_to_the_end() -> None:
    assert streamed("wav", [SOUND])[:44] == wav_header(MONO, 0xFFFFFFFF)


def test_a_wav_stream_of_known_length_is_the_exact_file() -> None:
    assert streamed("wav", [SOUND], frames=7_000) == wav_header(MONO, 14_000) + SOUND


@pytest.mark.parametrize("options", [{}, {"frames": 7_000}, {"tags": TAGS}])
def test_a_wav_file_says_its_sizes_exactly(options: dict[str, Any]) -> None:
    data = filed("wav", pieces(SOUND, [1, 2, 3_333]), **options)
    sizes = struct.unpack("<I", data[4:8]) + struct.unpack("<I", data[len(data) - 14_004 : len(data) - 14_000])

    assert sizes == (len(data) - 8, 14_000)
    assert data.endswith(SOUND)


def _frames_by_wave(data: bytes) -> bytes:
    with wave.open(io.BytesIO(data)) as file:
        return bytes(file.readframes(file.getnframes()))


def _frames_by_soundfile(data: bytes) -> bytes:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return bytes(file.buffer_read(dtype="int16"))


def _frames_by_av(data: bytes) -> bytes:
    return decoded("wav", data)


def _frames_by_miniaudio(data: bytes) -> bytes:
    return bytes(miniaudio.wav_read_s16(data).samples.tobytes())


def _frames_by_the_house(data: bytes) -> bytes:
    decoder = WavDecoder()
    return decoder.decode(data) + decoder.flush()


@pytest.mark.parametrize(
    "read", [_frames_by_wave, _frames_by_soundfile, _frames_by_av, _frames_by_miniaudio, _frames_by_the_house]
)
@pytest.mark.parametrize("make", [streamed, filed])
@pytest.mark.parametrize("options", [{}, {"frames": 7_000}, {"tags": TAGS}], ids=["unknown", "known", "tagged"])
def test_every_reader_finds_every_sample_of_every_wav(read: Any, make: Any, options: dict[str, Any]) -> None:
    assert read(make("wav", [SOUND], **options)) == SOUND


@pytest.mark.parametrize("frames", [0, 1, 2**31 - 100])
def test_a_header_without_room_is_the_one_of_the_house(frames: int) -> None:
    assert riff_header(MONO, frames * 2) == wav_header(MONO, frames * 2)
    assert riff_header(MONO, None) == wav_header(MONO, 0xFFFFFFFF)


class Sparse(io.FileIO):
    """A file in which silence is a hole, so that 4 GiB cost nothing."""

    def write(self, data: Any, /) -> int:
        if len(data) < 1 << 20:
            return super().write(data) or 0
        self.truncate(self.seek(len(data), os.SEEK_CUR))
        return len(data)


@pytest.mark.skipif(sys.platform != "linux", reason="holes in files")
def test_a_wav_file_beyond_4_gib_has_64_bit_sizes(tmp_path: Path) -> None:
    path = tmp_path / "day.wav"
    silence = bytes(64 << 20)
    with Sparse(path, "w+") as file, StreamingAudioWriter("wav", 48_000, 2, seekable=file) as writer:
        for _ in range(64):
            writer.write_chunk(silence)
        writer.write_chunk(b"\1\2\3\4")

    frames = 64 * len(silence) // 4 + 1
    with path.open("rb") as finished:
        head = finished.read(80)
    assert head[:8] == b"RF64\xff\xff\xff\xff" and head[12:16] == b"ds64"
    assert struct.unpack("<QQQ", head[20:44]) == (path.stat().st_size - 8, 4 * frames, frames)
    with soundfile.SoundFile(path) as opened:
        assert (opened.format, opened.frames) == ("RF64", frames)
        opened.seek(frames - 1)
        assert bytes(opened.buffer_read(1, dtype="int16")) == b"\1\2\3\4"
    with av.open(str(path)) as container:
        assert container.streams.audio[0].duration == frames


def test_a_promise_of_more_than_4_gib_has_64_bit_sizes_from_the_start() -> None:
    head = StreamingAudioWriter("wav", RATE_HZ, frames=2**31).write_chunk(b"")

    assert head[:4] == b"RF64" and struct.unpack("<Q", head[28:36]) == (2**32,)


def test_a_flac_file_says_its_length_and_its_checksum() -> None:
    head = filed("flac", pieces(SOUND, [100, 5_000]))[:42]

    assert int.from_bytes(head[21:26], "big") & 0xFFFFFFFFF == 7_000
    assert head[26:42] == hashlib.md5(SOUND).digest()


@pytest.mark.parametrize("rate_hz", [16_000, 17_000, 24_000, 44_100])
@given(frames=st.integers(50, 9_000))
@settings(max_examples=12, deadline=None)
def test_an_mp3_file_is_exactly_as_long_as_what_went_in(rate_hz: int, frames: int) -> None:
    encoded_hz = StreamingAudioWriter("mp3", rate_hz).encoded_rate_hz

    assert len(decoded("mp3", filed("mp3", [bytes(2 * frames)], rate_hz))) // 2 == round(frames * encoded_hz / rate_hz)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_sounds_like_the_stream(format: str) -> None:
    stream = decoded(format, streamed(format, [SOUND]))
    file = decoded(format, filed(format, pieces(SOUND, [1, 999])))

    if format == "mp3":
        stream = stream[2 * 1_105 : 2 * (1_105 + 7_000)]  # the file says what to leave out
    assert file == stream


# --- tags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [streamed, filed])
@pytest.mark.parametrize("format", ["flac", "mp3", "opus"])
def test_tags_can_be_read_back(make: Any, format: str) -> None:
    data = make(format, [SOUND], tags=TAGS)

    assert TAGS.items() <= tags_of(format, data).items()
    assert decoded(format, data) == decoded(format, make(format, [SOUND]))


@pytest.mark.parametrize("make", [streamed, filed])
@pytest.mark.parametrize("format", ["wav", "ogg"])
def test_tags_without_a_place_of_their_own_go_into_the_comment(make: Any, format: str) -> None:
    data = make(format, [SOUND], tags=TAGS)
    found = tags_of(format, data)

    assert (found["title"], found["artist"]) == ("Grüße", "espeak")
    assert found["comment"] == "An answer; synthetic: true"
    assert decoded(format, data) == decoded(format, make(format, [SOUND]))


@pytest.mark.parametrize("format", ["pcm", "aac"])
def test_where_there_is_no_room_for_tags_there_are_none(format: str) -> None:
    assert streamed(format, [SOUND], tags=TAGS) == streamed(format, [SOUND])


@pytest.mark.parametrize(("make", "format"), [(filed, "wav"), (streamed, "ogg"), (filed, "ogg")])
def test_synthetic_speech_says_so_in_the_comment(make: Any, format: str) -> None:
    data = make(format, [SOUND], tags=synthetic_tags(format, is_stream=make is streamed))

    assert tags_of(format, data)["comment"] == "synthetic: voice-mcp"


@pytest.mark.parametrize("make", [streamed, filed])
@pytest.mark.parametrize("format", ["flac", "mp3", "opus"])
def test_synthetic_speech_says_so_in_a_tag_of_its_own(make: Any, format: str) -> None:
    data = make(format, [SOUND], tags=synthetic_tags(format, is_stream=make is streamed))

    assert tags_of(format, data)["synthetic"] == "voice-mcp"


@pytest.mark.parametrize("format", ["pcm", "aac", "wav"])
def test_a_stream_that_must_not_grow_does_not_say_that_it_is_synthetic(format: str) -> None:
    assert synthetic_tags(format, is_stream=True) == {}


# --- bad ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_a_writer_that_is_closed_early_leaves_a_good_file(format: str, tmp_path: Path) -> None:
    path = tmp_path / "audio"
    writer = StreamingAudioWriter(format, RATE_HZ, seekable=path)
    writer.write_chunk(sound(48_000))
    writer.close()

    heard = decoded(format, path.read_bytes())
    assert len(heard) / 2 / writer.encoded_rate_hz > 1.8


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("format", FORMATS)
def test_a_process_that_is_killed_leaves_a_good_file(format: str, tmp_path: Path) -> None:
    path = tmp_path / "audio"
    code = (
        "import os, signal, sys; from voice_mcp import StreamingAudioWriter\n"
        "from tests.codecs.writer_support import sound\n"
        "writer = StreamingAudioWriter(sys.argv[1], 24000, seekable=sys.argv[2])\n"
        "writer.write_chunk(sound(72000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, format, str(path)], timeout=60, check=False)

    assert ended.returncode == -signal.SIGKILL
    heard = decoded(format, path.read_bytes())
    rate_hz = StreamingAudioWriter(format, RATE_HZ).encoded_rate_hz
    assert len(heard) / 2 / rate_hz > (2.2 if format == "ogg" else 2.7)
