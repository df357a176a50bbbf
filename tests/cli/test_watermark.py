"""`voice-mcp watermark`: says of a file whether it is marked, and where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import voice_mcp
from tests.support.marking import RATE_HZ, marked, spoken
from voice_mcp import StreamingAudioWriter
from voice_mcp.samples.convert import Samples, to_frames
from voice_mcp.watermark.marker import PUBLIC_KEY


def saved(path: Path, samples: Samples) -> str:
    with StreamingAudioWriter(path.suffix[1:], RATE_HZ, seekable=path) as writer:
        writer.write_chunk(samples)
    return str(path)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "opus"])
def test_a_marked_file_is_called_marked(suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"said.{suffix}", marked(spoken()[: 6 * RATE_HZ], PUBLIC_KEY))
    done = voice_mcp(tmp_path / "data", "watermark", path)

    assert done.stdout.startswith(f"said.{suffix}: marked with the key that all know, 0:00 to 0:06 (score ")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_is_not_marked_is_not_and_the_exit_code_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "said.wav", spoken()[: 6 * RATE_HZ])
    done = voice_mcp(tmp_path / "data", "watermark", path)

    assert done.stdout.startswith("said.wav: no mark of the key that all know (score ")
    assert done.returncode == 1


def test_another_key_is_told_and_facts_come_as_json(tmp_path: Path) -> None:
    speech = spoken()
    sound = np.concatenate((speech[: 6 * RATE_HZ], marked(speech[6 * RATE_HZ : 12 * RATE_HZ], "ours")))
    path = tmp_path / "said.pcm"
    path.write_bytes(to_frames(sound))
    facts = json.loads(voice_mcp(tmp_path / "data", "watermark", str(path), "--key", "ours", "--json").stdout)
    others = json.loads(voice_mcp(tmp_path / "data", "watermark", str(path), "--json").stdout)

    assert facts["marked"] is True
    assert facts["false_alarm"] < 1e-6
    assert [each["end_s"] for each in facts["ranges"]] == [facts["duration_s"]] == [12.0]
    assert 3.0 <= facts["ranges"][0]["start_s"] <= 6.0
    assert (others["marked"], others["ranges"]) == (False, [])


@pytest.mark.parametrize(("content", "said"), [(b"", "holds no sound"), (b"<html>Not found</html>" * 50, "said.wav")])
def test_what_is_no_sound_is_said_in_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    path.write_bytes(content)
    done = voice_mcp(tmp_path / "data", "watermark", str(path))

    assert done.returncode == 1
    assert done.stderr.startswith("voice-mcp: ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "watermark", str(tmp_path / "nothing.wav"))

    assert "nothing.wav cannot be read" in done.stderr
    assert done.returncode == 1
