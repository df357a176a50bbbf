"""`voice-mcp speak`: what it says, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.command import LONG, LONGEST_S, Running, voice_mcp, voice_mcp_without
from tests.cli.terminal import on_a_terminal
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from tests.support.stdio import gone
from tests.support.waiting import eventually
from voice_mcp.cli.first_audio import STAGES
from voice_mcp.tools.results import SpeakMetrics

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


def has_begun(base_dir: Path) -> bool:
    return any(event["event_type"] == "TTS_PLAYBACK_START" for event in logged_events(base_dir))


def test_a_text_leaves_one_line_of_facts_in_a_pipe(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Good morning.", VOICEMODE_AUDIO_OUTPUT="null")
    assert done.returncode == 0
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith("Spoken 0.")
    assert "tone, voice sine · first sound after " in line
    assert line.endswith("no gaps")


def test_what_the_user_should_know_is_a_line_of_its_own(tmp_path: Path, dead_endpoint: str) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "auto", "VOICEMODE_TTS_BASE_URLS": dead_endpoint}
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", **settings)
    saved, note = done.stdout.splitlines()
    assert Path(saved.rpartition(" · ")[2]).is_file()
    assert note.startswith("Note: 127.0.0.1:")
    assert "espeak spoke instead." in note


def test_a_folder_that_cannot_be_is_named_as_that_and_not_as_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = voice_mcp(tmp_path / "file", "speak", "--json", "Hello.")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "storage_error"


def test_a_person_who_silences_it_is_told_so_and_not_what_agents_are_told(tmp_path: Path) -> None:
    settings = {"VOICEMODE_AUDIO_OUTPUT": "null"}
    with Running(tmp_path / "data", "speak", LONG, **settings) as running:
        eventually(lambda: has_begun(tmp_path / "data"), LONGEST_S, "the first sound")
        assert voice_mcp(tmp_path / "data", "hush").returncode == 0
        running.exit_code()
        told = running.output
    assert "Note: It was silenced with a key." in told
    assert "do not speak again" not in told


def test_an_address_with_the_usual_mistake_is_told_with_it(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(Behaviour.refusing(404, "Not Found"))
    urls = (speech_endpoint.base_url.removesuffix("/v1"), speech_endpoint.base_url)
    notes = [
        voice_mcp(tmp_path / "data", "speak", "Hello.", VOICEMODE_TTS_ENGINE="auto", VOICEMODE_TTS_BASE_URLS=url).stdout
        for url in urls
    ]
    assert "its URL does not end in /v1" in notes[0]
    assert "answered 404" in notes[1]
    assert "/v1" not in notes[1]


def test_without_a_device_the_line_says_where_the_audio_is(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Good morning.")
    assert done.stdout.startswith("Saved")
    path = Path(done.stdout.rpartition(" · ")[2].strip())
    assert path.read_bytes()[:4] == b"RIFF"
    assert path.is_relative_to(tmp_path / "data" / "audio")


def test_words_need_no_quotes(tmp_path: Path) -> None:
    assert voice_mcp(tmp_path / "data", "speak", "one", "two", "three").returncode == 0
    (line,) = exchanges(tmp_path / "data")
    assert line["text"] == "one two three"


def test_a_file_is_spoken(tmp_path: Path) -> None:
    file = tmp_path / "speech.md"
    file.write_text("\ufeff# Title\n\nÜber alles **Wichtige**.", encoding="utf-8")
    assert voice_mcp(tmp_path / "data", "speak", "--file", str(file)).returncode == 0
    (line,) = exchanges(tmp_path / "data")
    assert line["text"] == "# Title\n\nÜber alles **Wichtige**."


def test_what_is_piped_in_is_spoken_without_being_asked_for(tmp_path: Path) -> None:
    assert voice_mcp(tmp_path / "data", "speak", typed="Here I come.").returncode == 0
    (line,) = exchanges(tmp_path / "data")
    assert line["text"] == "Here I come."


def test_json_has_the_shape_of_the_tool_s_result(tmp_path: Path) -> None:
    options = ("--voice", "square", "--speed", "2", "--conversation-id", "talk-1", "--json")
    done = voice_mcp(tmp_path / "data", "speak", "Good morning.", *options)
    result = json.loads(done.stdout)
    assert result.keys() == {
        *("status", "conversation_id", "utterance_id", "duration_s", "ttfa_ms", "underruns", "voice", "engine"),
        *("audio_path", "metrics"),
    }
    assert (result["status"], result["conversation_id"], result["voice"]) == ("saved", "talk-1", "square")
    metrics = result["metrics"]
    assert metrics.keys() <= SpeakMetrics.__annotations__.keys()
    assert all(metrics.values())


def test_the_metrics_in_json_are_those_the_tool_gives(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Good morning.", "--json", VOICEMODE_AUDIO_OUTPUT="null")
    metrics = json.loads(done.stdout)["metrics"]
    assert {"ttfa", "decode_ms_per_s"} <= metrics.keys() <= set(SpeakMetrics.__annotations__)
    assert metrics["ttfa"].keys() <= {f"{stage}_ms" for stage in STAGES}


def test_input_is_spoken_while_it_is_still_coming_in(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Running(data, "speak", "-", VOICEMODE_AUDIO_OUTPUT="null") as speaking:
        speaking.give("The first sentence is complete. The sec")
        eventually(lambda: has_begun(data), LONGEST_S, "the first sound")
        assert speaking.process.poll() is None
        speaking.give("ond one is not.")
        speaking.close_input()
        assert speaking.exit_code() == 0
    (line,) = exchanges(data)
    assert line["text"] == "The first sentence is complete. The second one is not."


def test_a_character_that_comes_in_two_halves_stays_whole(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first, second = "Ein Gruß an alle. Größer geht es nicht, sagt Zoë.".encode().split(b"Gr\xc3\xb6\xc3", 1)
    with Running(data, "speak", "-", VOICEMODE_AUDIO_OUTPUT="null") as speaking:
        speaking.give(first + b"Gr\xc3\xb6\xc3")
        eventually(lambda: has_begun(data), LONGEST_S, "the first sound")
        speaking.give(second)
        speaking.close_input()
        assert speaking.exit_code() == 0
    (line,) = exchanges(data)
    assert line["text"] == "Ein Gruß an alle. Größer geht es nicht, sagt Zoë."


@linux
def test_ctrl_c_tells_what_was_heard_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Running(data, "speak", LONG, VOICEMODE_AUDIO_OUTPUT="null") as speaking:
        eventually(lambda: has_begun(data), LONGEST_S, "the first sound")
        children = speaking.children()
        speaking.process.send_signal(signal.SIGINT)
        assert speaking.exit_code() == 130
        assert speaking.errors == ""
        facts, heard, unheard = speaking.output.splitlines()
    assert len(children) == 1
    asyncio.run(gone(children[0]))
    assert facts.startswith("Stopped after")
    assert heard.startswith("Heard: ")
    assert unheard.startswith("Unheard: ")
    (line,) = exchanges(data)
    assert line["metadata"]["status"] == "interrupted"
    assert line["metadata"]["unheard"] in unheard


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_completes_the_record_and_sets_the_exit_code(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    with Running(data, "speak", LONG, "--json", VOICEMODE_AUDIO_OUTPUT="null") as speaking:
        eventually(lambda: has_begun(data), LONGEST_S, "the first sound")
        speaking.process.send_signal(getattr(signal, name))
        assert speaking.exit_code() == 128 + getattr(signal, name)
        result = json.loads(speaking.output)
    assert result["status"] == "interrupted"
    assert f"{result['heard']} {result['unheard']}".strip() == LONG.strip()
    (line,) = exchanges(data)
    assert line["metadata"]["status"] == "interrupted"


@linux
def test_ctrl_c_ends_the_wait_for_input(tmp_path: Path) -> None:
    with Running(tmp_path / "data", "speak", "-") as speaking:
        eventually(speaking.children, LONGEST_S, "the audio process")
        speaking.process.send_signal(signal.SIGINT)
        assert speaking.exit_code() == 130
        assert speaking.output == "Stopped before anything was said.\n"
        assert speaking.errors == ""


@pytest.mark.parametrize("nothing", ["", "   \n\n", "***\n"])
def test_input_without_words_is_an_error(tmp_path: Path, nothing: str) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "-", typed=nothing)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "There is nothing to say" in done.stderr


def test_an_unknown_voice_is_an_error_that_says_where_the_voices_are(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", "--voice", "nobody")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nobody" in done.stderr
    assert "voice-mcp voices" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_is_json_too_when_json_was_asked_for(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", "--speed", "9", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "invalid_speed"
    assert "out of range" in done.stderr


def test_a_bad_setting_is_one_clear_sentence(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", VOICEMODE_TTS_SPEED="fast")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "voice-mcp: VOICEMODE_TTS_SPEED is 'fast', but it must be a number from 0.25 up to 4.0."
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["speak", "converse"])
def test_a_bad_setting_is_told_as_json_where_json_is_wanted(tmp_path: Path, command: str) -> None:
    done = voice_mcp(tmp_path / "data", command, "--json", "Hello.", VOICEMODE_TTS_SPEED="fast")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "bad_setting"


def test_a_format_that_cannot_be_written_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    settings = {"VOICEMODE_AUDIO_SAVE_FORMAT": "ogg"}
    done = voice_mcp_without("soundfile", tmp_path / "data", "speak", "Hello.", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "VOICEMODE_AUDIO_SAVE_FORMAT=ogg" in done.stderr
    assert 'pip install "voice-mcp[ogg]"' in done.stderr
    assert not (tmp_path / "data").exists()


def test_what_debugging_shows_is_not_drowned_by_a_library(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Hello *there*.", VOICEMODE_DEBUG="true")
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) < 10


def test_records_that_cannot_be_removed_are_told_of_and_speech_goes_on(tmp_path: Path) -> None:
    audio = tmp_path / "data" / "audio"
    (audio / "talk-1").mkdir(parents=True)
    (audio / ".lock").mkdir()
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", VOICEMODE_AUDIO_OUTPUT="null")
    assert (done.returncode, done.stdout[:6]) == (0, "Spoken")
    assert "Old records could not all be removed: " in done.stderr
    assert "could not be written" not in done.stdout + done.stderr


def test_a_misspelt_setting_is_told_and_speech_goes_on(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", VOICEMODE_TTS_SPED="2")
    assert done.returncode == 0
    assert "did you mean VOICEMODE_TTS_SPEED?" in done.stderr
    assert done.stdout.startswith("Saved")


def test_text_and_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("Hello.")
    done = voice_mcp(tmp_path / "data", "speak", "Hello.", "--file", str(file))
    assert done.returncode == 2
    assert "not both" in done.stderr


@posix
def test_a_terminal_shows_the_sentence_that_is_spoken(tmp_path: Path) -> None:
    drawn = on_a_terminal(
        tmp_path / "data", "speak", "Good morning. The second sentence is a longer one.", VOICEMODE_AUDIO_OUTPUT="null"
    )
    caption, facts = drawn.index("The second sentence is a longer one."), drawn.index("first sound after")
    assert caption < facts
    assert "━" in drawn


@posix
def test_on_a_terminal_nothing_to_say_is_a_mistake_in_the_command(tmp_path: Path) -> None:
    assert "or - for standard input" in on_a_terminal(tmp_path / "data", "speak")
