"""`voice-mcp privacy` and `voice-mcp forget`, as a person meets them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp
from tests.cli.terminal import on_a_terminal
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in, exchanges
from tests.support.ports import LOOPBACK, silent_port
from voice_mcp.cli.short_id import short_id

WORDS = "Zanzibar is far away."


def privacy(base_dir: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    told = voice_mcp(base_dir, "privacy", "--json", *arguments, **settings)
    assert told.returncode == 0, told.stderr
    record: dict[str, Any] = json.loads(told.stdout)
    return record


def speak(base_dir: Path, text: str = WORDS, **settings: str) -> None:
    done = voice_mcp(base_dir, "speak", text, **settings)
    assert done.returncode == 0, done.stderr


def conversations(base_dir: Path) -> list[str]:
    return [exchange["conversation_id"] for exchange in exchanges(base_dir)]


def test_what_an_endpoint_was_sent_and_sent_back_is_told(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    base = tmp_path / "root"
    speak(base, VOICEMODE_TTS_ENGINE="openai", VOICEMODE_TTS_BASE_URLS=speech_endpoint.base_url)
    record = privacy(base)
    (exchange,) = speech_endpoint.speech
    assert record["hosts"] == [
        {
            "host": speech_endpoint.host,
            "beyond_this_machine": False,
            "requests": 1,
            "text_chars": len(WORDS),
            "audio_up_bytes": 0,
            "audio_up_s": 0.0,
            "audio_down_bytes": len(exchange.audio),
        }
    ]
    assert [one["conversation_id"] for one in record["utterances"]] == conversations(base)
    assert WORDS not in json.dumps(record)
    assert privacy(base, "--lines", "0")["utterances"] == []


def test_words_that_nobody_could_be_sent_are_not_told_as_sent(tmp_path: Path, dead_endpoint: str) -> None:
    base = tmp_path / "root"
    nobody = ["http://speech.invalid/v1", dead_endpoint]
    refused = voice_mcp(
        base, "speak", WORDS, VOICEMODE_TTS_ENGINE="openai", VOICEMODE_TTS_BASE_URLS=",".join(nobody), NO_PROXY="*"
    )
    assert "no address is known for that name" in refused.stderr
    assert (privacy(base)["hosts"], privacy(base)["utterances"]) == ([], [])
    assert "Nothing, as far as the event log reaches back." in voice_mcp(base, "privacy").stdout
    assert "nothing was sent" in voice_mcp(base, "log").stdout


def test_words_that_somebody_may_have_read_count_as_sent(tmp_path: Path) -> None:
    base = tmp_path / "root"
    with silent_port() as port:
        settings = {"VOICEMODE_TTS_BASE_URLS": f"http://{LOOPBACK}:{port}/v1", "VOICEMODE_STREAM_STALL_TIMEOUT": "0.2"}
        assert voice_mcp(base, "speak", WORDS, VOICEMODE_TTS_ENGINE="openai", **settings).returncode == 1
    (host,) = privacy(base)["hosts"]
    assert host["text_chars"] == len(WORDS) * host["requests"]
    assert host["requests"] > 0


def test_what_stays_here_is_told_as_that(tmp_path: Path) -> None:
    base = tmp_path / "root"
    speak(base, VOICEMODE_SAVE_ALL="true")
    told = voice_mcp(base, "privacy", VOICEMODE_RETENTION_DAYS="7").stdout
    assert "Nothing, as far as the event log reaches back." in told
    assert "It was never open" in told
    assert "Kept for 7 days" in told
    record = privacy(base)
    assert {stock["what"]: stock["files"] for stock in record["disk"]} == {
        "recordings": 1,
        "transcripts": 1,
        "conversation log": 1,
        "event log": 1,
        "phrases": 0,
    }
    assert record["kept"]["retention_days"] == 30


def test_a_microphone_that_was_open_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "logs" / "events"
    folder.mkdir(parents=True)
    lines = [
        {
            "timestamp": f"2026-11-20T12:00:{second:02}+00:00",
            "event_type": kind,
            "conversation_id": "conv_1",
            "utterance_id": "utt_1",
            "session_id": "conv_1",
            "data": data,
        }
        for second, kind, data in (
            (0, "RECORDING_START", {"device": "mic"}),
            (5, "RECORDING_END", {"seconds": 5.0}),
            (5, "STT_START", {"engine": "api.openai.com", "bytes": 160_044, "seconds": 5.0}),
            (6, "STT_COMPLETE", {"engine": "api.openai.com", "chars": 12}),
        )
    ]
    path = folder / "voicemode_events_2026-11-20.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    record = privacy(tmp_path / "root")
    assert (record["microphone"]["opened"], record["microphone"]["seconds"]) == (1, 5.0)
    assert record["hosts"][0]["beyond_this_machine"] is True
    assert record["hosts"][0]["audio_up_bytes"] == 160_044
    told = voice_mcp(tmp_path / "root", "privacy").stdout
    assert "another machine" in told
    assert "160.0 kB" in told
    assert "Opened 1 times, 5 s in all." in told


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are of Unix")
def test_on_a_terminal_of_80_columns_hosts_conversations_and_paths_are_whole(tmp_path: Path) -> None:
    base, project = tmp_path / "root", tmp_path / "a-project-with-a-name-that-is-longer-than-one-would-wish"
    with SpeechEndpoint() as endpoint:
        speak(
            base,
            VOICEMODE_TTS_ENGINE="openai",
            VOICEMODE_TTS_BASE_URLS=endpoint.base_url,
            CLAUDE_PROJECT_DIR=str(project),
        )
        host = endpoint.host
    (conversation,) = conversations(base)
    told = on_a_terminal(base, "privacy")
    assert host in told
    assert short_id(conversation) in told
    assert str(base / "logs" / "conversations") in told
    listed = on_a_terminal(base, "conversations", "list")
    assert conversation in listed
    assert str(project) in listed


def test_a_conversation_is_forgotten_by_the_end_of_its_name(tmp_path: Path) -> None:
    base = tmp_path / "root"
    speak(base, VOICEMODE_SAVE_ALL="true")
    speak(base, "Something else.", VOICEMODE_SAVE_ALL="true")
    first, second = conversations(base)
    done = voice_mcp(base, "forget", first.rpartition("_")[2], "--yes")
    assert done.returncode == 0
    assert "1 recording, 1 transcript, 1 line of the conversation log" in done.stdout
    assert conversations(base) == [second]
    assert WORDS.encode() not in everything_in(base)
    assert first.encode() not in everything_in(base)


@pytest.mark.parametrize("option", ["--yes", "--dry-run", "--json"])
def test_a_conversation_nobody_knows_is_no_success(tmp_path: Path, option: str) -> None:
    base = tmp_path / "root"
    speak(base)
    refused = voice_mcp(base, "forget", "nosuchid", option)
    assert refused.returncode == 1
    assert "There is no conversation nosuchid on record." in refused.stderr
    assert "nothing to forget" not in refused.stdout
    assert len(conversations(base)) == 1


def test_nothing_is_forgotten_unless_somebody_says_yes(tmp_path: Path) -> None:
    base = tmp_path / "root"
    speak(base)
    refused = voice_mcp(base, "forget", "--all")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    looked = voice_mcp(base, "forget", "--all", "--dry-run")
    assert (looked.returncode, "would be deleted" in looked.stdout) == (0, True)
    assert conversations(base)
    assert voice_mcp(base, "forget", "--all", "--yes").returncode == 0
    assert not exchanges(base)
    again = voice_mcp(base, "forget", "--all")
    assert (again.returncode, again.stdout) == (0, "There was nothing to forget.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "not clear what to forget"),
        (("conv_1", "--all"), "not clear what to forget"),
        (("--before", "yesterday"), "no date"),
        (("../etc",), "not valid"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = voice_mcp(tmp_path / "root", "forget", *arguments, "--yes")
    assert refused.returncode == 1
    assert said in refused.stderr


def test_days_before_a_date_are_forgotten(tmp_path: Path) -> None:
    base = tmp_path / "root"
    speak(base)
    assert voice_mcp(base, "forget", "--before", "2020-01-01", "--yes").stdout == "There was nothing to forget.\n"
    assert voice_mcp(base, "forget", "--before", "2999-01-01", "--yes").returncode == 0
    assert not exchanges(base)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may remove anything")
def test_what_could_not_be_deleted_is_told_with_exit_code_1(tmp_path: Path) -> None:
    base = tmp_path / "root"
    speak(base, VOICEMODE_SAVE_ALL="true")
    (folder,) = (base / "audio").glob("conv_*")
    folder.chmod(0o500)
    done = voice_mcp(base, "forget", "--all", "--yes", "--json")
    folder.chmod(0o700)
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["left"]) == 2
