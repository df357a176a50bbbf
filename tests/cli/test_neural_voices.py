"""What the commands say of neural voices: those that speak, and those that could be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp
from tests.support.extras import need
from tests.support.onnx_voices import write_kokoro, write_piper

need("kokoro_onnx")
need("piper")

NAMES = ("kokoro", "piper", "neural voices")


def checks(base_dir: Path, **settings: str) -> dict[str, dict[str, Any]]:
    """What the doctor says of them."""
    settings = {
        "VOICEMODE_TTS_ENGINE": "auto",
        "VOICEMODE_TTS_BASE_URLS": "",
        "VOICEMODE_AUDIO_OUTPUT": "null",
    } | settings
    report = json.loads(voice_mcp(base_dir, "doctor", "--json", **settings).stdout)
    return {entry["name"]: entry for entry in report["checks"] if entry["name"] in NAMES}


def test_voices_that_are_not_there_are_one_line_that_worries_nobody(tmp_path: Path) -> None:
    found = checks(tmp_path / "data")
    assert list(found) == ["neural voices"]
    assert found["neural voices"]["state"] == "ok"
    assert "not there: kokoro (the model kokoro is not installed), pocket (" in found["neural voices"]["detail"]
    assert found["neural voices"]["hint"].startswith("Run `voice-mcp models install kokoro`. docs/engines.md")


def test_a_misspelt_model_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    found = checks(tmp_path / "data", VOICEMODE_KOKORO_MODEL="kokro")
    assert "kokro is neither a model nor a file that is there" in found["neural voices"]["detail"]
    assert found["neural voices"]["hint"].startswith("Did you mean kokoro?")


def test_those_that_are_there_say_a_word(tmp_path: Path) -> None:
    model, _ = write_kokoro(tmp_path / "weights")
    found = checks(tmp_path / "data", VOICEMODE_KOKORO_MODEL=str(model))
    assert list(found) == ["kokoro", "neural voices"]
    assert found["kokoro"]["state"] == "ok"
    assert "speaks" in found["kokoro"]["detail"]
    assert "3 voices" in found["kokoro"]["detail"]
    assert "kokoro" not in found["neural voices"]["detail"]


def test_one_that_is_broken_is_told(tmp_path: Path) -> None:
    path = write_piper(tmp_path / "weights")
    path.write_bytes(b"not what it was")
    found = checks(tmp_path / "data", VOICEMODE_PIPER_VOICE=str(path))
    assert found["piper"]["state"] == "broken"
    assert "is not a voice that piper can use" in found["piper"]["detail"]


@pytest.mark.parametrize("engine", ["kokoro", "piper"])
def test_their_voices_are_listed(tmp_path: Path, engine: str) -> None:
    model, _ = write_kokoro(tmp_path / "weights")
    settings = {"VOICEMODE_KOKORO_MODEL": str(model), "VOICEMODE_PIPER_VOICE": str(write_piper(tmp_path / "weights"))}
    done = voice_mcp(tmp_path / "data", "voices", "--engine", engine, "--json", VOICEMODE_TTS_ENGINE="auto", **settings)
    (listed,) = json.loads(done.stdout)["engines"]
    expected = {"kokoro": ["af_heart", "bm_george", "mixture"], "piper": ["en_US-hum-low"]}
    assert [voice["name"] for voice in listed["voices"]] == expected[engine]
