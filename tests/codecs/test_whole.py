"""Files that have to be there whole, and decoders that are made to wait."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.codecs.material import Samples, decode, decode_in_steps, encode, encode_file, frames_of, likeness, sound
from voice_mcp.codecs.mp3 import Mp3Decoder
from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.codecs.whole import CONTAINERS, MOST_BYTES, Container, FileDecoder, WholeFileDecoder
from voice_mcp.errors import CodecMissing, NotAudio, UnsupportedFormat
from voice_mcp.types import PcmFormat

pytest.importorskip("pydub", reason="files with an index are decoded by pydub")

FMT = PcmFormat(48_000, 2)
FRAMES = 24_123
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def container(name: str) -> Container:
    return next(kind for kind in CONTAINERS if kind.name == name)


def played() -> Samples:
    return sound(FMT, FRAMES)


@cache
def file(name: str) -> bytes:
    if name in ("mp4", "webm"):
        codec = {"mp4": "aac", "webm": "libopus"}[name]
        return encode(name, codec, played(), FMT.rate_hz, streamed=False)
    return encode_file(played(), FMT.rate_hz, name.upper(), "PCM_16")


@needs_ffmpeg
@pytest.mark.parametrize("name", ["aiff", "caf", "au"])
def test_uncompressed_files_give_every_sample(name: str) -> None:
    decoder = FileDecoder(container(name))

    assert decode_in_steps(decoder, file(name), 4096) == played().tobytes()
    assert decoder.format == FMT
    assert decoder.decode_errors == 0


@needs_ffmpeg
@pytest.mark.parametrize("name", ["mp4", "webm"])
def test_compressed_files_give_the_sound(name: str) -> None:
    decoder = FileDecoder(container(name))
    heard = frames_of(decode_in_steps(decoder, file(name), 4096), 2)

    assert decoder.format == FMT
    assert 0 <= len(heard) - FRAMES < 1024
    assert likeness(heard, played()) > 0.95


@needs_ffmpeg
@pytest.mark.parametrize("name", ["mp4", "webm", "aiff"])
def test_a_file_that_is_damaged_beyond_use_is_refused(name: str) -> None:
    with pytest.raises(NotAudio, match=name):
        decode(FileDecoder(container(name)), file(name)[:16] + b"\x55" * 500)


def test_without_ffmpeg_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CodecMissing, match="mp4.*ffmpeg") as refused:
        decode(FileDecoder(container("mp4")), file("mp4"))
    assert "Install ffmpeg" in refused.value.hint
    assert "another format" in refused.value.hint


def test_a_playlist_is_not_a_file_and_reaches_no_other_program() -> None:
    with pytest.raises(NotAudio, match="mp4"):
        FileDecoder(container("mp4")).decode(b"#EXTM3U\nfile:///etc/hostname\n")
    with pytest.raises(NotAudio, match="mp4"):
        decode(FileDecoder(container("mp4")), b"#EXTM3U")


def test_no_file_at_all_is_no_sound_and_no_error() -> None:
    assert decode(FileDecoder(container("mp4")), b"") == b""


def test_what_is_collected_has_a_limit() -> None:
    decoder = WholeFileDecoder(PcmDecoder(FMT))
    block = bytes(1 << 20)
    for _ in range(MOST_BYTES >> 20):
        decoder.decode(block)

    with pytest.raises(UnsupportedFormat, match="64 MB"):
        decoder.decode(b"\0")


def test_a_decoder_that_waits_gives_the_same_frames_at_the_end() -> None:
    samples = sound(PcmFormat(24_000, 1), FRAMES)
    for data, direct, inner in (
        (encode("mp3", "libmp3lame", samples, 24_000), Mp3Decoder(), Mp3Decoder()),
        (encode_file(samples, 24_000, "WAV", "PCM_16"), WavDecoder(), WavDecoder()),
    ):
        waiting = WholeFileDecoder(inner)
        blocks = [waiting.decode(data[start : start + 1000]) for start in range(0, len(data), 1000)]

        assert not any(blocks)
        assert waiting.format is None
        assert waiting.flush() == decode(direct, data)
        assert waiting.format == direct.format
        assert waiting.decode_errors == 0


def test_a_decoder_that_waits_counts_the_same_damage() -> None:
    waiting = WholeFileDecoder(Mp3Decoder())
    decode(waiting, b"garbage" + encode("mp3", "libmp3lame", sound(PcmFormat(24_000, 1), FRAMES), 24_000))

    assert waiting.decode_errors == 1
