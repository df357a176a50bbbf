"""`voice-mcp converse`: what it prints, what keys do, and how it ends."""

from __future__ import annotations

import json
import random
import shlex
import signal
import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import LONG, LONGEST_S, Running, voice_mcp
from tests.cli.terminal import Terminal
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from tests.support.spoken import heard_share, said, silence
from tests.support.waiting import eventually
from voice_mcp.tools.results import ConverseResult
from voice_mcp.types import LISTENING_FORMAT

posix = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX systems")
linux = pytest.mark.skipif(sys.platform != "linux", reason="a shell that controls jobs")

WORDS = "Change the port to eight thousand"
NEVER = ("--min-seconds", "600")
"""No silence ends the turn: whatever does was a key."""


class Room:
    """A microphone in front of which somebody speaks after a second, and a server that understands it."""

    def __init__(self, folder: Path, endpoint: SpeechEndpoint) -> None:
        self.data = folder / "data"
        self.endpoint = endpoint
        self.settings = {
            "VOICEMODE_AUDIO_OUTPUT": "null",
            "VOICEMODE_AUDIO_INPUT": "file",
            "VOICEMODE_INPUT_DEVICE": str(folder / "voice.wav"),
            "VOICEMODE_STT_BASE_URLS": endpoint.base_url,
        }
        self._output = folder / "output"
        self.somebody_says(said())

    def somebody_says(self, pcm: bytes) -> None:
        self.sounds(noise(1.0) + pcm + noise(60.0))

    def sounds(self, pcm: bytes) -> None:
        with wave.open(self.settings["VOICEMODE_INPUT_DEVICE"], "wb") as file:
            file.setparams((1, 2, LISTENING_FORMAT.rate_hz, 0, "NONE", ""))
            file.writeframes(pcm)

    def understood(self, pcm: bytes) -> bool:
        """Whether the server has got all of it in one piece."""
        sent = self.endpoint.transcriptions
        return bool(sent) and heard_share(pcm, sent[-1].upload.frames) > 0.9

    def run(self, *arguments: str, **settings: str) -> Any:
        return voice_mcp(self.data, "converse", *arguments, **{**self.settings, **settings})

    def terminal(self, *arguments: str, **settings: str) -> Terminal:
        command = [sys.executable, "-m", "voice_mcp", "converse", *arguments]
        return Terminal(self.data, command, {**self.settings, **settings}, self._output)

    def has_begun_to_speak(self) -> bool:
        return any(event["event_type"] == "TTS_PLAYBACK_START" for event in logged_events(self.data))

    def is_recording(self) -> bool:
        kinds = [event["event_type"] for event in logged_events(self.data)]
        return kinds.count("RECORDING_START") > kinds.count("RECORDING_END")


def noise(seconds: float) -> bytes:
    """A quiet room."""
    dice = random.Random(1)
    return array("h", dice.choices(range(-12, 13), k=LISTENING_FORMAT.frames_in(seconds))).tobytes()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        yield Room(tmp_path, endpoint)


# --- in a pipe -----------------------------------------------------------------------------------------------------


def test_standard_output_gets_the_words_and_nothing_else(room: Room) -> None:
    done = room.run("Which", "port?")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{WORDS}\n", "")
    assert [line["text"] for line in exchanges(room.data)] == ["Which port?", WORDS]
    assert room.understood(said())


def test_without_a_text_it_only_listens_and_json_has_the_shape_of_the_tool_s_result(room: Room) -> None:
    result = json.loads(room.run("--json", "--conversation-id", "talk-1").stdout)
    assert {"status", "response", "spoken", "conversation_id", "stt_engine", "listen_s"} <= result.keys()
    assert result.keys() <= ConverseResult.__annotations__.keys()
    assert (result["status"], result["response"], result["spoken"]) == ("answered", WORDS, None)
    assert (result["conversation_id"], result["stt_engine"]) == ("talk-1", room.endpoint.host)


def test_nobody_who_answers_has_an_exit_code_of_its_own(room: Room) -> None:
    done = room.run("Well?", "--max-seconds", "0.5")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Nobody answered." in done.stderr


def test_what_to_do_about_listening_goes_with_what_is_set(room: Room, dead_endpoint: str) -> None:
    usual = room.run("Hello.", VOICEMODE_STT_BASE_URLS=dead_endpoint)
    assert 'pip install "voice-mcp[whisper]"' in usual.stderr
    assert "voice-mcp models install base" in usual.stderr
    whisper = room.run("Hello.", VOICEMODE_STT_ENGINE="whisper")
    assert "voice-mcp models install base" in whisper.stderr
    switched_off = room.run("Hello.", VOICEMODE_STT_ENGINE="none")
    assert "VOICEMODE_STT_ENGINE is none: set it to auto" in switched_off.stderr
    for done in (whisper, switched_off):
        assert done.returncode == 1
        assert "OPENAI_API_KEY" not in done.stderr


def test_where_nobody_can_be_heard_and_nobody_can_type_nothing_is_said(room: Room) -> None:
    done = room.run("Well?", "--json", VOICEMODE_AUDIO_INPUT="none")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "listening_unavailable"
    assert "nothing was said" in done.stderr
    assert "voice-mcp doctor" in done.stderr
    assert exchanges(room.data) == []


def test_by_hand_needs_a_terminal(room: Room) -> None:
    done = room.run("Well?", "--push-to-talk")
    assert (done.returncode, done.stdout) == (2, "")
    assert "terminal" in done.stderr


@posix
def test_a_signal_silences_it_and_closes_the_microphone(room: Room) -> None:
    with Running(room.data, "converse", *NEVER, **room.settings) as running:
        eventually(room.is_recording, LONGEST_S, "the microphone")
        running.process.send_signal(signal.SIGTERM)
        assert running.exit_code() == 128 + signal.SIGTERM
        assert running.output == ""
    assert not room.is_recording()


# --- on a terminal -------------------------------------------------------------------------------------------------


@posix
def test_a_terminal_shows_what_is_said_that_it_hears_and_what_it_understood(room: Room) -> None:
    with room.terminal("Which port?") as terminal:
        assert terminal.exit_code() == 0
        assert terminal.output == f"{WORDS}\n"
        shown = terminal.drawn
        places = [shown.index(text) for text in ("Which port?", "Listening", "You are heard", WORDS)]
        assert places == sorted(places)
        assert "━" in shown
        assert terminal.is_as_before


@posix
def test_a_microphone_that_gives_zeros_around_what_is_said_is_not_called_muted(room: Room) -> None:
    room.sounds(silence(0.3) + said() + silence(60.0))
    with room.terminal("--min-seconds", "5") as terminal:
        assert terminal.exit_code() == 0
        assert "You are heard" in terminal.drawn
        assert "nothing but zeros" not in terminal.drawn


@posix
def test_a_file_that_is_over_is_not_called_a_muted_microphone(room: Room) -> None:
    room.sounds(silence(0.1))
    with room.terminal("--max-seconds", "3") as terminal:
        assert terminal.exit_code() == 3
        assert "it is over" in terminal.drawn
        assert "muted" not in terminal.drawn


def test_what_was_heard_after_zeros_is_told_without_a_word_of_them(room: Room) -> None:
    room.sounds(silence(2.0) + said() + noise(60.0))
    result = json.loads(room.run("--json").stdout)
    assert result["response"] == WORDS
    assert "note" not in result


@posix
@pytest.mark.parametrize("key", [" ", "\r"], ids=["space", "enter"])
def test_a_key_ends_the_turn(room: Room, key: str) -> None:
    with room.terminal(*NEVER) as terminal:
        terminal.wait_for(WORDS)  # so far: of the first pause
        terminal.press(key)
        assert terminal.exit_code() == 0
        assert terminal.output == f"{WORDS}\n"
        assert terminal.is_as_before


@posix
@pytest.mark.parametrize(("key", "code"), [("\x1b", 4), ("\x03", 130)], ids=["esc", "ctrl-c"])
def test_a_key_stops_the_message(room: Room, key: str, code: int) -> None:
    with room.terminal(LONG, "--json") as terminal:
        eventually(room.has_begun_to_speak, LONGEST_S, "the first sound")
        terminal.press(key)
        assert terminal.exit_code() == code
        result = json.loads(terminal.output)
        assert terminal.is_as_before
    assert (result["status"], result["response"]) == ("interrupted", None)
    spoken = result["spoken"]
    assert f"{spoken['heard']} {spoken['unheard']}".strip() == LONG.strip()


@posix
@pytest.mark.parametrize(("key", "code"), [("\x1b", 4), ("\x03", 130)], ids=["esc", "ctrl-c"])
def test_a_key_stops_the_listening_and_what_was_said_is_not_printed(room: Room, key: str, code: int) -> None:
    with room.terminal(*NEVER) as terminal:
        terminal.wait_for("You are heard")
        terminal.press(key)
        assert terminal.exit_code() == code
        assert terminal.output == ""
        assert "Stopped." in terminal.drawn
        assert terminal.is_as_before
    assert not room.is_recording()


@posix
def test_a_signal_gives_the_terminal_back(room: Room) -> None:
    with room.terminal(*NEVER) as terminal:
        terminal.wait_for("Listening")
        assert terminal.takes_keys
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.exit_code() == 128 + signal.SIGTERM
        assert terminal.is_as_before


@posix
def test_space_cuts_the_message_short_and_the_answer_is_heard(room: Room) -> None:
    with room.terminal(LONG, "--json") as terminal:
        eventually(room.has_begun_to_speak, LONGEST_S, "the first sound")
        terminal.press("  ")  # the second is a repetition: the key was held
        assert terminal.exit_code() == 0
        result = json.loads(terminal.output)
    assert (result["status"], result["response"]) == ("interrupted", WORDS)
    assert result["spoken"]["status"] == "interrupted"
    assert result["spoken"]["unheard"]


@posix
def test_by_hand_a_tap_begins_the_turn_and_another_one_ends_it(room: Room) -> None:
    speech = said(pause_s=3.0)  # which would end a turn that silence ends
    room.somebody_says(speech)
    with room.terminal("--push-to-talk") as terminal:
        terminal.wait_for("Your turn")
        terminal.press(" ")
        room.endpoint.wait_until(lambda: room.understood(speech), LONGEST_S)
        assert terminal.process.poll() is None
        terminal.press(" ")
        assert terminal.exit_code() == 0
        assert terminal.output == f"{WORDS}\n"


@posix
def test_by_hand_the_turn_lasts_as_long_as_the_key_is_held(room: Room) -> None:
    with room.terminal("--push-to-talk") as terminal:
        terminal.wait_for("Your turn")

        def holds_until(text: str) -> bool:
            terminal.press(" ")
            return text in terminal.drawn

        eventually(lambda: holds_until(WORDS), LONGEST_S, "the words so far")
        assert terminal.process.poll() is None
        assert terminal.exit_code() == 0, "the key was let go"
        assert terminal.output == f"{WORDS}\n"


@posix
def test_by_hand_nothing_is_taken_before_the_key(room: Room) -> None:
    with room.terminal("--push-to-talk", "--max-seconds", "4") as terminal:
        terminal.wait_for("Your turn")
        assert terminal.exit_code() == 3
        assert terminal.output == ""
    assert room.endpoint.transcriptions == []


@posix
def test_by_hand_space_cuts_the_message_short_and_begins_the_turn(room: Room) -> None:
    with room.terminal(LONG, "--push-to-talk") as terminal:
        eventually(room.has_begun_to_speak, LONGEST_S, "the first sound")
        terminal.press(" ")
        terminal.wait_for(WORDS)  # so far: of the first pause
        terminal.press("\r")
        assert terminal.exit_code() == 0
        assert terminal.output == f"{WORDS}\n"


@posix
def test_where_nobody_can_be_heard_the_answer_is_typed(room: Room) -> None:
    with room.terminal("Which port?", "--json", VOICEMODE_AUDIO_INPUT="none") as terminal:
        terminal.wait_for("Which port? \x1b[0m> ")
        terminal.press("eight thousand\n")
        assert terminal.exit_code() == 0
        result = json.loads(terminal.output)
    assert (result["status"], result["response"]) == ("answered", "eight thousand")
    assert result["spoken"]["status"] == "completed"
    assert "typed" in result["note"]
    assert "VOICEMODE_AUDIO_INPUT=none" in result["note"]


@posix
@pytest.mark.parametrize(("keys", "code"), [("\n", 3), ("\x04", 3), ("\x03", 130)], ids=["enter", "ctrl-d", "ctrl-c"])
def test_whoever_types_nothing_has_not_answered(room: Room, keys: str, code: int) -> None:
    with room.terminal(VOICEMODE_AUDIO_INPUT="none") as terminal:
        terminal.wait_for("> ")
        terminal.press(keys)
        assert terminal.exit_code() == code
        assert terminal.output == ""


@linux
def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(room: Room, tmp_path: Path) -> None:
    def modes_in(name: str) -> list[str]:
        """What `stty -a` told, once all of it is there."""
        path = tmp_path / name
        told = path.read_text() if path.exists() else ""
        return told.replace(";", " ").split() if told.endswith("\n") else []

    command = shlex.join([sys.executable, "-m", "voice_mcp", "converse", *NEVER])
    with Terminal(room.data, ["sh", "-i"], room.settings) as terminal:
        terminal.press(f"{command}\n")
        terminal.wait_for("Listening")
        eventually(lambda: terminal.takes_keys, LONGEST_S, "keys")
        terminal.press("\x1a")
        terminal.wait_for("Stopped")
        terminal.press("stty -a > while_stopped\n")
        modes = eventually(lambda: modes_in("while_stopped"), LONGEST_S, "what stty says")
        assert {"icanon", "echo"} <= set(modes)
        terminal.press("fg\n")
        eventually(lambda: terminal.takes_keys, LONGEST_S, "keys again")
        terminal.press("\x1b")
        eventually(lambda: not terminal.takes_keys, LONGEST_S, "the terminal")
        terminal.press("echo code-$?\n")
        terminal.wait_for("code-4")
