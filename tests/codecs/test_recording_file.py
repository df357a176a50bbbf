"""A recording in a format of the writer: whether it says that nobody spoke it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codecs.writer_support import sound, tags_of
from voice_mcp.codecs.recording_file import RecordingFile
from voice_mcp.types import PcmFormat

MONO = PcmFormat(24_000, 1)


def recorded(path: Path, audio_format: str, *, synthetic: bool) -> dict[str, str]:
    file = RecordingFile(path, MONO, audio_format, synthetic=synthetic)
    file.append(sound(5_000))
    file.close()
    return tags_of(audio_format, path.read_bytes())


@pytest.mark.parametrize("audio_format", ["mp3", "flac", "opus", "wav"])
def test_a_recording_of_synthetic_speech_says_so(audio_format: str, tmp_path: Path) -> None:
    tags = recorded(tmp_path / "said", audio_format, synthetic=True)

    assert "voice-mcp" in tags.get("synthetic", tags.get("comment", ""))


@pytest.mark.parametrize("audio_format", ["mp3", "flac", "opus", "wav"])
def test_a_recording_of_a_person_does_not(audio_format: str, tmp_path: Path) -> None:
    tags = recorded(tmp_path / "heard", audio_format, synthetic=False)

    assert "synthetic" not in {*tags, *tags.get("comment", "").split(":")}
