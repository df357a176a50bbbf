"""`voice-mcp demo`: a real server, a real client, and an honest report."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.command import voice_mcp
from tests.support.house import exchanges

NOISY = """\
import sys

if sys.orig_argv[-2:] == ["-m", "voice_mcp"]:  # the server, not the demo nor the audio process
    print("hello from a careless library", flush=True)
"""


def test_the_demo_tells_what_was_spoken_and_heard(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "demo", VOICEMODE_AUDIO_OUTPUT="null", VOICEMODE_TTS_SPEED="4")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^server +voice-mcp \S+ · MCP 20\d\d-\d\d-\d\d", done.stdout, re.MULTILINE)
    assert re.search(r"^tools +speak, converse$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +\d+\.\d s +You hear this sentence while", done.stdout, re.MULTILINE)
    assert "*" not in done.stdout
    assert "Everything works." in done.stdout
    assert re.search(r"^heard .*tone, voice sine · first sound after \d+ ms", done.stdout, re.MULTILINE)
    (line,) = exchanges(tmp_path / "data")
    assert f"conversations show {line['conversation_id']}" in done.stdout


def test_a_bare_machine_gets_a_file_it_can_play(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "demo", VOICEMODE_TTS_ENGINE="espeak")
    assert done.returncode == 0, done.stderr
    (path,) = re.findall(r"^saved .* · (.+\.wav)$", done.stdout, re.MULTILINE) or [""]
    assert Path(path).stat().st_size > 100_000
    assert re.search(r"^ +You hear this sentence while", done.stdout, re.MULTILINE)
    assert not re.search(r"^ +\d+\.\d s ", done.stdout, re.MULTILINE)
    assert "nobody could hear it" in done.stdout
    assert "Everything works" not in done.stdout


def test_a_demo_that_cannot_speak_fails_and_says_why(tmp_path: Path, dead_endpoint: str) -> None:
    done = voice_mcp(tmp_path / "data", "demo", VOICEMODE_TTS_ENGINE="openai", VOICEMODE_TTS_BASE_URLS=dead_endpoint)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Everything works" not in done.stdout


def test_a_bad_setting_is_told_before_a_server_is_started(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "demo", VOICEMODE_AUDIO_OUTPUT="loudly")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "VOICEMODE_AUDIO_OUTPUT is 'loudly'" in done.stderr


def test_anything_but_mcp_on_the_server_s_output_is_a_failure(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "sitecustomize.py").write_text(NOISY)
    done = voice_mcp(tmp_path / "data", "demo", PYTHONPATH=str(library))
    assert done.returncode == 1
    assert "wrote something to standard output that is no MCP" in done.stderr
