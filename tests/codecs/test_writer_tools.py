"""What other people's programs say of the writer's files."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.io import wavfile

from tests.codecs.writer_support import FORMATS, filed, output_of, sound, streamed, tool

FRAMES = 30_001
SOUND = sound(FRAMES)
TAGS = {"title": "Title", "synthetic": "true"}
ENCODED = [format for format in FORMATS if format != "pcm"]


@pytest.fixture(params=[streamed, filed], ids=["stream", "file"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """A file of each format."""
    paths = {format: tmp_path / f"audio.{format}" for format in ENCODED}
    for format, path in paths.items():
        path.write_bytes(request.param(format, [SOUND], tags=TAGS))
    return paths


@pytest.mark.parametrize("format", ENCODED)
def test_ffprobe_recognises_it_and_ffmpeg_decodes_it_without_a_word(format: str, made: dict[str, Path]) -> None:
    path = str(made[format])
    report = json.loads(output_of(tool("ffprobe"), "-v", "error", "-show_streams", "-of", "json", path))
    said = subprocess.run(
        [tool("ffmpeg"), "-v", "error", "-i", path, "-f", "null", "-"], check=True, capture_output=True, timeout=30
    ).stderr

    assert report["streams"][0]["codec_name"] == {"wav": "pcm_s16le", "ogg": "vorbis"}.get(format, format)
    # ffmpeg calls the last packet of a WAV of unknown length corrupt, for it is shorter than it asked for.
    assert not said or b"wav: corrupt input packet" in said


def test_flac_itself_finds_no_fault(made: dict[str, Path]) -> None:
    path = str(made["flac"])
    output_of(tool("flac"), "--test", "--silent", path)

    raw = output_of(tool("flac"), "-d", "-s", "-c", "--force-raw-format", "--endian=little", "--sign=signed", path)
    assert raw == SOUND


def test_opusinfo_finds_no_fault(made: dict[str, Path]) -> None:
    report = output_of(tool("opusinfo"), str(made["opus"])).decode()

    assert "WARNING" not in report and "ERROR" not in report
    assert "SYNTHETIC=true" in report
    assert "Pre-skip: 312" in report
    assert "Original sample rate: 24000 Hz" in report


@pytest.mark.parametrize("frames", [1, 100, 324, 325, 24_000, FRAMES])
@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100])
def test_opusdec_gives_as_much_as_went_in(rate_hz: int, frames: int, tmp_path: Path) -> None:
    path, raw = tmp_path / "audio.opus", tmp_path / "audio.raw"
    path.write_bytes(streamed("opus", [bytes(2 * frames)], rate_hz))
    output_of(tool("opusdec"), "--quiet", "--rate", "48000", str(path), str(raw))

    assert raw.stat().st_size // 2 == round(frames * 48_000 / rate_hz)


@pytest.mark.parametrize("frames", [1, 46, 576, 24_769, FRAMES])
def test_mpg123_gives_exactly_what_went_in_of_a_file(frames: int, tmp_path: Path) -> None:
    path = tmp_path / "audio.mp3"
    path.write_bytes(filed("mp3", [bytes(2 * frames)]))

    assert len(output_of(tool("mpg123"), "-q", "-s", str(path))) == 2 * frames


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg"])
def test_sox_reads_it(format: str, made: dict[str, Path]) -> None:
    raw = output_of(tool("sox"), str(made[format]), "-t", "raw", "-e", "signed", "-b", "16", "-L", "-")

    if format in ("wav", "flac"):
        assert raw == SOUND
    assert FRAMES <= len(raw) // 2 < FRAMES + 3_000


@pytest.mark.filterwarnings("ignore::scipy.io.wavfile.WavFileWarning")  # it remarks on chunks it does not know
@pytest.mark.parametrize("write", [streamed, filed], ids=["stream", "file"])
def test_scipy_reads_every_sample_of_a_wav(write: Callable[..., bytes]) -> None:
    rate_hz, samples = wavfile.read(io.BytesIO(write("wav", [SOUND])))
    assert rate_hz == 24_000
    assert samples.tobytes() == SOUND
