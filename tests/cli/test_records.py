"""`voice-mcp log` and `voice-mcp conversations`: what was put on record, for people."""

from __future__ import annotations

import json
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.command import LONGEST_S, Running, voice_mcp
from tests.support.house import exchanges, logged_events
from tests.support.waiting import eventually
from voice_mcp.cli.facts import facts_of
from voice_mcp.cli.short_id import whole_id
from voice_mcp.errors import InvalidInput
from voice_mcp.storage.paths import DataRoot

ESCAPE = "\x1b[2J\x1b]0;owned\x07"


def spoken(base_dir: Path, text: str, conversation_id: str) -> None:
    done = voice_mcp(base_dir, "speak", text, "-c", conversation_id, "--voice", "sine")
    assert done.returncode == 0, done.stderr


def test_events_are_lines_with_time_conversation_type_and_facts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "Hello there.", "talk-1")
    lines = voice_mcp(data, "log").stdout.splitlines()
    assert len(lines) == len(logged_events(data))
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    assert all(re.match(rf"{stamp}  talk-1  [A-Z_]+", line) for line in lines)
    (begun,) = [line for line in lines if "TTS_START" in line]
    assert begun.endswith("12 characters, voice sine")
    (first,) = [line for line in lines if "TTS_PLAYBACK_START" in line]
    assert re.search(r"\d+ ms after the call$", first)


def test_the_last_events_of_one_conversation_are_chosen(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "First.", "talk-1")
    spoken(data, "Second.", "talk-2")
    done = voice_mcp(data, "log", "--conversation", "talk-1", "--lines", "2", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["event_type"] for record in records] == ["TTS_PLAYBACK_END", "FLOOR_RELEASED"]
    assert {record["conversation_id"] for record in records} == {"talk-1"}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_following_shows_what_is_added_until_ctrl_c(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "Before.", "talk-1")
    with Running(data, "log", "--follow", "--lines", "1") as log:
        eventually(lambda: "FLOOR_RELEASED" in log.output, LONGEST_S, "the past")
        spoken(data, "Meanwhile.", "talk-2")
        eventually(lambda: log.output.count("FLOOR_RELEASED") == 2, LONGEST_S, "the new events")
        log.process.send_signal(signal.SIGINT)
        assert log.exit_code() == 0
        assert log.errors == ""
        assert len(log.output.splitlines()) == 1 + len([e for e in logged_events(data) if "2" in e["conversation_id"]])


def test_an_empty_log_says_where_it_looked(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "log")
    assert (done.returncode, done.stdout) == (0, "")
    assert str(tmp_path / "data") in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"duration_s": 1.25, "underruns": 1, "interrupted": True}, "1.25 s, 1 gap, interrupted"),
        ({"duration_s": 1.25, "underruns": 0, "interrupted": False}, "1.25 s, no gaps"),
        ({"engine": "espeak", "code": "engine_error", "message": "It failed."}, "espeak, It failed."),
        ({"tool": "speak", "success": False, "status": "unknown_voice"}, "speak, failed, unknown_voice"),
        ({"at_s": "strange", "unheard_of": [1], "voice": None}, "at_s=strange, unheard_of=[1]"),
        ("no object", ""),
    ],
)
def test_facts_are_words_whatever_a_line_holds(data: object, words: str) -> None:
    assert facts_of(data) == words


def test_conversations_are_listed_and_shown(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "First.\n\nSecond.", "talk-1")
    spoken(data, "Another.", "talk-2")
    heading, *lines = voice_mcp(data, "conversations", "list").stdout.splitlines()
    assert heading.split()[0] == "CONVERSATION"
    assert [line.split()[0] for line in lines] == ["talk-1", "talk-2"]
    shown = voice_mcp(data, "conversations", "show", "talk-1").stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  agent  \d\.\d s · tone, voice sine", shown[0])
    assert shown[1].strip() == "First."
    assert shown[-2].strip() == "Second."
    assert Path(shown[-1].strip()).is_file()


def test_the_end_of_an_id_is_enough_when_it_is_the_only_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "First.", "conv_a_11c0de")
    spoken(data, "Second.", "conv_b_22c0de")
    assert "conv_a_11c0de" in voice_mcp(data, "log", "-c", "11c0de").stdout
    assert "conv_b_22c0de" not in voice_mcp(data, "log", "-c", "11c0de").stdout
    assert "Second." in voice_mcp(data, "conversations", "show", "22c0de").stdout


@pytest.mark.parametrize(
    ("wanted", "known", "meant"),
    [
        ("abc", {"conv_1_abc"}, "conv_1_abc"),
        ("abc", {"abc", "conv_1_abc"}, "abc"),
        ("bc", {"conv_1_abc"}, "bc"),
        ("conv_1_abc", {"conv_1_abc"}, "conv_1_abc"),
        ("23456789", {"talk123456789"}, "talk123456789"),
        ("later", set(), "later"),
    ],
)
def test_an_id_is_itself_or_the_one_that_is_shown_so(wanted: str, known: set[str], meant: str) -> None:
    assert whole_id(wanted, known) == meant


def test_an_end_that_several_ids_have_is_an_error_that_names_them() -> None:
    with pytest.raises(InvalidInput) as caught:
        whole_id("abc", ["conv_1_abc", "conv_2_abc"])
    assert "conv_1_abc, conv_2_abc" in caught.value.hint


def test_conversations_as_json(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "First.", "talk-1")
    (summary,) = json.loads(voice_mcp(data, "conversations", "list", "--json").stdout)["conversations"]
    assert (summary["id"], summary["count"]) == ("talk-1", 1)
    record = json.loads(voice_mcp(data, "conversations", "show", "talk-1", "--json").stdout)
    assert record["exchanges"][0]["text"] == "First."


def test_records_can_be_read_where_nothing_can_be_spoken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "First.", "talk-1")
    settings = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_TTS_BASE_URLS": "https://api.openai.com/v1"}
    assert "First." in voice_mcp(data, "conversations", "show", "talk-1", **settings).stdout
    assert "talk-1" in voice_mcp(data, "log", **settings).stdout


def test_an_encoding_that_cannot_hold_a_text_breaks_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spoken(data, "Größe.", "talk-1")
    done = voice_mcp(data, "conversations", "show", "talk-1", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Gr??e." in done.stdout
    record = voice_mcp(data, "conversations", "show", "talk-1", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(record.stdout)["exchanges"][0]["text"] == "Größe."


@pytest.mark.parametrize("wrong", ["nobody", "../../etc"])
def test_a_conversation_that_is_not_there_is_an_error(tmp_path: Path, wrong: str) -> None:
    done = voice_mcp(tmp_path / "data", "conversations", "show", wrong)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_what_others_wrote_cannot_control_the_terminal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    now, root = datetime.now(UTC), DataRoot(data)
    exchange = {"version": 1, "timestamp": now.isoformat(), "conversation_id": "talk-1", "type": "stt"}
    root.exchange_files().append(now, {**exchange, "text": f"Hi {ESCAPE} there", "project_path": ESCAPE})
    event = {"timestamp": now.isoformat(), "event_type": f"X{ESCAPE}", "conversation_id": ESCAPE}
    root.event_files().append(now, {**event, "data": {"message": ESCAPE}})
    assert len(exchanges(data)) == 1
    for arguments in (("conversations", "list"), ("conversations", "show", "talk-1"), ("log",)):
        done = voice_mcp(data, *arguments)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
