"""`voice-mcp voices`, `devices`, `settings`, and the command as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import voice_mcp
from tests.cli.terminal import Terminal
from tests.support.endpoint import SpeechEndpoint
from tests.support.pulse import PulseCard
from voice_mcp import __version__
from voice_mcp.settings import Settings

KEY = "sk-planted-0123456789abcdef"
HEAVY = ("mcp", "openai", "httpx2", "numpy", "sounddevice", "miniaudio", "markdown_it")


def test_the_version_is_told(tmp_path: Path) -> None:
    assert voice_mcp(tmp_path / "data", "--version").stdout == f"voice-mcp {__version__}\n"


def test_help_names_every_command(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "--help")
    assert done.returncode == 0
    for name in ("speak", "demo", "models", "doctor", "voices", "devices", "settings", "log", "conversations"):
        assert f" {name} " in done.stdout


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    assert voice_mcp(tmp_path / "data", "sing").returncode == 2


@pytest.mark.parametrize(
    ("module", "absent"), [("voice_mcp.cli", ("typer", "rich", *HEAVY)), ("voice_mcp.cli.main", HEAVY)]
)
def test_what_is_not_needed_is_not_imported(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_voices_are_lines_with_name_language_and_engine(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "voices", "--language", "en-us", VOICEMODE_TTS_ENGINE="espeak")
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["VOICE", "LANGUAGE", "DESCRIPTION", "ENGINE"]
    assert any(line.split()[:2] == ["en-us", "en-US"] and line.endswith("espeak") for line in lines)
    assert all(line.split()[1].startswith("en-US") for line in lines)


def test_voices_of_one_engine_as_json(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "auto", "VOICEMODE_TTS_BASE_URLS": speech_endpoint.base_url}
    host = speech_endpoint.base_url.split("/")[2]
    done = voice_mcp(tmp_path / "data", "voices", "--engine", host, "--json", **settings)
    (engine,) = json.loads(done.stdout)["engines"]
    assert engine["engine"] == host
    assert [voice["name"] for voice in engine["voices"]] == ["alba", "bruno"]


def test_an_engine_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "voices", "--engine", "nobody")
    assert done.returncode == 1
    assert "There are: tone." in done.stderr


def test_an_endpoint_that_cannot_say_is_a_warning_besides_the_others(tmp_path: Path, dead_endpoint: str) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "auto", "VOICEMODE_TTS_BASE_URLS": dead_endpoint}
    done = voice_mcp(tmp_path / "data", "voices", **settings)
    assert done.returncode == 0
    assert "cannot be reached" in done.stderr
    assert "en-us" in done.stdout


def test_devices_are_listed_by_library(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "devices", "--json")
    assert done.returncode == 0
    for lists in json.loads(done.stdout).values():
        assert [entry["backend"] for entry in lists] == ["sounddevice", "miniaudio"]
        assert all(entry.keys() == {"backend", "devices", "problem"} for entry in lists)


def test_where_nothing_may_listen_no_microphones_are_listed(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "devices", "--json", VOICEMODE_AUDIO_INPUT="none")
    assert json.loads(done.stdout)["input"] == []


@pytest.mark.pulse
def test_devices_are_lines_with_the_default_marked(tmp_path: Path, pulse_card: PulseCard) -> None:
    pulse_card.microphone()
    done = voice_mcp(tmp_path / "data", "devices", **pulse_card.env)
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["DEVICE", "FOR", "LIBRARY"]
    for direction in ("output", "input"):
        rows = [line.split() for line in lines if direction in line.split()]
        marked = [row[-2:] for row in rows if row[-1] == "default"]
        assert marked == [["sounddevice", "default"], ["miniaudio", "default"]]


def test_settings_tell_value_and_source_and_mask_keys(tmp_path: Path) -> None:
    settings = {"OPENAI_API_KEY": KEY, "VOICEMODE_TTS_API_KEYS": f"{KEY},,{KEY}", "VOICEMODE_TTS_SPEED": "1.5"}
    for arguments in (("settings",), ("settings", "--json")):
        done = voice_mcp(tmp_path / "data", *arguments, **settings)
        assert done.returncode == 0
        assert KEY not in done.stdout + done.stderr
    told = {entry["name"]: entry for entry in json.loads(done.stdout)["settings"]}
    assert told["OPENAI_API_KEY"]["value"] == "(set)"
    assert told["VOICEMODE_TTS_API_KEYS"]["value"] == "(set),,(set)"
    assert (told["VOICEMODE_TTS_SPEED"]["value"], told["VOICEMODE_TTS_SPEED"]["source"]) == ("1.5", "environment")
    assert told["VOICEMODE_STREAM_BUFFER_MS"]["source"] == "default"


def test_settings_name_the_file_a_value_comes_from_and_what_looks_wrong(tmp_path: Path) -> None:
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / ".env").write_text("VOICEMODE_RETENTION_DAYS=7\nVOICEMODE_RETENTION=8\n")
    done = voice_mcp(tmp_path / "data", "settings")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("VOICEMODE_RETENTION_DAYS")]
    assert line.split()[1:3] == ["7", ".env"]
    assert "VOICEMODE_RETENTION (.env) is not a setting" in done.stderr


def test_settings_are_all_listed_when_some_are_bad_and_those_are_marked(tmp_path: Path) -> None:
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / ".env").write_text("VOICEMODE_TTS_SPEED=fast\n")
    done = voice_mcp(tmp_path / "data", "settings", VOICEMODE_PAN="left")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(Settings.model_fields) + 1
    marked = [line.split()[:3] for line in done.stdout.splitlines() if "cannot be used" in line]
    assert marked == [["VOICEMODE_PAN", "left", "environment:"], ["VOICEMODE_TTS_SPEED", "fast", ".env:"]]
    assert len(done.stderr.splitlines()) == 2
    as_json = voice_mcp(tmp_path / "data", "settings", "--json")
    told = {entry["name"]: entry["problem"] for entry in json.loads(as_json.stdout)["settings"]}
    assert (as_json.returncode, told["VOICEMODE_PAN"]) == (1, None)
    assert "in .env" in told["VOICEMODE_TTS_SPEED"]


def test_a_line_of_a_file_that_is_no_setting_is_told_once_in_our_words(tmp_path: Path) -> None:
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / ".env").write_text("this is no setting at all\n")
    done = voice_mcp(tmp_path / "data", "speak", "Hello.")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("voice-mcp: .env, line 1, is not a setting: ")


@pytest.mark.skipif(sys.platform != "linux", reason="a sound server that is not there")
def test_without_any_device_what_to_do_is_said_once_and_not_in_a_circle(tmp_path: Path) -> None:
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = voice_mcp(tmp_path / "data", "devices", **nowhere)
    assert "voice-mcp devices" not in done.stderr
    assert "miniaudio: miniaudio" not in done.stderr
    assert done.stderr.count('see "When something is wrong" in the README') == 1
    examined = voice_mcp(tmp_path / "data", "doctor", VOICEMODE_AUDIO_OUTPUT="auto", **nowhere)
    (sound_out,) = [line for line in examined.stdout.splitlines() if "sound out" in line]
    assert "Speech is saved to files." in sound_out
    assert "VOICEMODE_AUDIO_OUTPUT=file" not in sound_out
    assert 'see "When something is wrong" in the README' in sound_out


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are of Unix")
def test_whoever_starts_the_server_by_hand_is_told_what_it_is(tmp_path: Path) -> None:
    with Terminal(tmp_path / "data", [sys.executable, "-m", "voice_mcp"], {}) as terminal:
        terminal.wait_for("This is an MCP server")
        terminal.wait_for("voice-mcp --help")
    assert terminal.drawn.count("\n") == 1


def test_help_is_wrapped_where_the_terminal_ends_and_names_the_words_there_are(tmp_path: Path) -> None:
    told = voice_mcp(tmp_path / "data", "converse", "--help", COLUMNS="80", TERMINAL_WIDTH="80").stdout
    paragraph = told.partition("Standard output gets")[2].partition("The exit code is")[0]
    *lines, _ = [line.strip() for line in paragraph.strip().splitlines()]
    assert min(map(len, lines)) > 50
    usage = voice_mcp(tmp_path / "data", "control", "--help").stdout
    assert "done|stop|repeat|pause|resume|skip" in usage
    assert "{do}" not in usage
