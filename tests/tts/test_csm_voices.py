"""Voices from a folder: which there are, and what their files may hold."""

from __future__ import annotations

import math
import wave
from array import array
from pathlib import Path
from typing import Any

import pytest

from tests.support.extras import need
from voice_mcp.errors import EngineError, UnknownVoice
from voice_mcp.tts._csm_voices import Example, Voices

HZ = 440.0


def write_voice(
    folder: Path, name: str = "Ann", text: str = "How do you do?", *, rate_hz: int = 24_000, seconds: float = 1.0
) -> None:
    """A voice that hums."""
    count = round(rate_hz * seconds)
    tone = array("h", [round(8_000 * math.sin(2 * math.pi * HZ * index / rate_hz)) for index in range(count)])
    write_samples(folder / f"{name}.wav", tone.tobytes(), rate_hz=rate_hz)
    (folder / f"{name}.txt").write_text(text)


def write_samples(path: Path, data: bytes, *, rate_hz: int = 24_000, channels: int = 1, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(data)


def example(folder: Path, name: str = "Ann") -> Example:
    chosen = Voices(folder).choose(name)[2]
    assert chosen is not None
    return chosen


def test_without_a_folder_there_are_ten_speakers(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path / "nowhere"):
        assert Voices(folder).names() == list("0123456789")
    assert Voices(None).choose("3") == ("3", 3, None)


def test_a_voice_is_a_sound_and_its_words(tmp_path: Path) -> None:
    write_voice(tmp_path, "Ann")
    write_voice(tmp_path, "without words")
    (tmp_path / "without words.txt").unlink()
    (tmp_path / "without sound.txt").write_text("Nothing.")
    voices = Voices(tmp_path)

    assert voices.names() == [*"0123456789", "Ann"]
    assert voices.choose("aNN")[:2] == ("Ann", 0)
    assert voices.knows("ANN")


def test_a_voice_that_is_put_there_later_is_there_at_once(tmp_path: Path) -> None:
    voices = Voices(tmp_path)
    with pytest.raises(UnknownVoice):
        voices.choose("Ann")
    write_voice(tmp_path, "Ann")

    assert voices.choose("Ann")[0] == "Ann"


@pytest.mark.parametrize("name", ["nobody", "../Ann", "10", "", "-1", "*"])
def test_a_voice_that_is_not_there_is_unknown(tmp_path: Path, name: str) -> None:
    (tmp_path / "voices").mkdir()
    write_voice(tmp_path, "Ann")
    voices = Voices(tmp_path / "voices")

    assert not voices.knows(name)
    with pytest.raises(UnknownVoice, match="csm has no voice") as refused:
        voices.choose(name)
    assert "NAME.wav" in refused.value.hint


def test_a_voice_whose_file_changed_is_another_example(tmp_path: Path) -> None:
    write_voice(tmp_path)
    before = example(tmp_path)
    assert example(tmp_path) == before

    write_voice(tmp_path, text="Something else.")
    assert example(tmp_path) != before
    assert example(tmp_path).text() == "Something else."


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_sound_of_any_rate_becomes_24_khz(tmp_path: Path, rate_hz: int) -> None:
    torch = need("torch")
    write_voice(tmp_path, rate_hz=rate_hz)
    samples: Any = example(tmp_path).samples()

    assert samples.shape == (24_000,)
    expected = torch.sin(2 * math.pi * HZ * torch.arange(24_000) / 24_000) * 8_000 / 32_768
    middle = slice(2_400, -2_400)
    assert float((samples - expected)[middle].abs().max()) < 1e-3


def test_two_channels_become_one(tmp_path: Path) -> None:
    need("torch")
    write_voice(tmp_path)
    left_and_right = array("h", [1_000, 3_000] * 24_000)
    write_samples(tmp_path / "Ann.wav", left_and_right.tobytes(), channels=2)

    samples = example(tmp_path).samples()
    assert samples.shape == (24_000,)
    assert float(samples[100]) == pytest.approx(2_000 / 32_768)


def test_sound_that_cannot_be_used_is_an_error_that_names_the_file_and_why(tmp_path: Path) -> None:
    need("torch")
    write_voice(tmp_path)
    path = tmp_path / "Ann.wav"
    for data, why in ((b"", "not a WAV file"), (b"RIFF____WAVE", "not a WAV file"), (b"ID3 music", "not a WAV file")):
        path.write_bytes(data)
        with pytest.raises(EngineError, match=rf"^Ann\.wav cannot be used as a voice: .*{why}"):
            example(tmp_path).samples()

    write_samples(path, bytes(3 * 24_000), width=3)
    with pytest.raises(EngineError, match="24 bits, not 16"):
        example(tmp_path).samples()
    write_samples(path, bytes(2 * 2_400))
    with pytest.raises(EngineError, match=r"lasts 0\.1 s"):
        example(tmp_path).samples()
    write_samples(path, bytes(2 * 8_000 * 61), rate_hz=8_000)
    with pytest.raises(EngineError, match=r"lasts 61\.0 s"):
        example(tmp_path).samples()


def test_words_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    write_voice(tmp_path)
    for data, why in ((b"\xff\xfe\x00", "UTF-8"), (b" \n", "it is empty")):
        (tmp_path / "Ann.txt").write_bytes(data)
        with pytest.raises(EngineError, match=rf"^Ann\.txt cannot be used as a voice: .*{why}"):
            example(tmp_path).text()
