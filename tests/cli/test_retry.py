"""`voice-mcp conversations retry`: recordings that were not understood are heard again."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp
from tests.stt.recognising import sound
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from voice_mcp.codecs.clip import make_clip
from voice_mcp.storage.conversation_log import ConversationLog, Exchange, ExchangeType
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recordings
from voice_mcp.types import LISTENING_FORMAT, PcmFormat

TALK = "conv_20260131_120000_c0ffee"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TIMEOUT_S = 10.0


@dataclass
class Past:
    """A data folder with a conversation in it, written by what writes them in earnest."""

    data: Path

    def __post_init__(self) -> None:
        self.root = DataRoot(self.data)
        self.journal = Journal()
        self.log = ConversationLog(self.root.exchange_files(), self.journal)
        self.count = 0

    def record(
        self, pcm: bytes, kind: ExchangeType = "stt", text: str = "", fmt: PcmFormat = LISTENING_FORMAT, **metadata: Any
    ) -> str:
        """Something that was said or heard, with its recording; returns what its line names that."""
        recordings = Recordings(self.root, self.journal)
        recording = recordings.start(recordings.reserve(TALK, kind), fmt)
        recording.append(pcm)
        recording.close()
        return self.line(self.root.relative(recording.path), kind, text, fmt.seconds(fmt.frames(len(pcm))), **metadata)

    def line(self, audio: str | None, kind: ExchangeType, text: str, seconds: float, **metadata: Any) -> str:
        """A line without a recording of its own."""
        self.count += 1
        moment = NOON + timedelta(seconds=self.count)
        name, milliseconds = f"utt_{self.count}", round(seconds * 1000)
        self.log.append(Exchange(moment, TALK, name, kind, text, audio, milliseconds, "/shop", metadata))
        assert self.journal.flush(TIMEOUT_S)
        assert self.journal.failures() == []
        return str(audio)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path / "data")


def retry(past: Past, endpoint: SpeechEndpoint | str, *more: str, **settings: str) -> subprocess.CompletedProcess[str]:
    url = endpoint if isinstance(endpoint, str) else endpoint.base_url
    return voice_mcp(past.data, "conversations", "retry", TALK, *more, VOICEMODE_STT_BASE_URLS=url, **settings)


def shown(past: Past) -> str:
    return voice_mcp(past.data, "conversations", "show", TALK).stdout


FAILED: dict[str, Any] = {"status": "failed", "error": "It was away.", "engine": None}


def test_the_words_are_printed_and_take_their_place(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(sound(0.3), "tts", "Shall I?", status="completed", engine="tone", voice="sine")
    audio = past.record(sound(1.0), **FAILED)
    past.record(sound(0.3), "tts", "Then not.", status="completed", engine="tone", voice="sine")
    assert "not transcribed: It was away." in shown(past)
    assert re.search(r"away\. `voice-mcp conversations retry \w+` tries again\)", shown(past))

    done = retry(past, speech_endpoint)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith("Yes, please.")
    assert speech_endpoint.transcriptions[0].upload.frames == sound(1.0)
    lines = shown(past).splitlines()
    assert [line.split()[2] for line in lines if line.startswith("2026-")] == ["agent", "user", "agent"]
    assert (shown(past).count("Yes, please."), "It was away." in shown(past)) == (1, False)
    failed, again = (line for line in exchanges(past.data) if line["type"] == "stt")
    assert again == failed | {
        "text": "Yes, please.",
        "metadata": {
            "status": "completed",
            "engine": speech_endpoint.host,
            "model": "whisper-1",
            "language": "en",
            "retried": True,
        },
    }
    assert again["audio_file"] == audio


def test_what_was_understood_is_not_asked_about_again(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(sound(0.3), text="No.", status="completed")
    past.record(sound(0.4), **FAILED)
    assert retry(past, speech_endpoint).returncode == 0
    done = retry(past, speech_endpoint)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Nothing" in done.stderr
    assert len(speech_endpoint.transcriptions) == 1


def test_all_that_failed_are_tried_in_their_order(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    for seconds in (0.3, 0.5, 0.7):
        past.record(sound(seconds), **FAILED)
    speech_endpoint.hear_next("One.", "Two.", "[BLANK_AUDIO]")
    record = json.loads(retry(past, speech_endpoint, "--json").stdout)
    assert (record["conversation_id"], record["left"]) == (TALK, [])
    assert [entry["text"] for entry in record["transcribed"]] == ["One.", "Two.", ""]
    assert [entry["status"] for entry in record["transcribed"]] == ["completed", "completed", "no_speech"]
    sent = [exchange.upload.frames for exchange in speech_endpoint.transcriptions]
    assert sent == [sound(seconds) for seconds in (0.3, 0.5, 0.7)]


def test_while_nobody_can_the_lines_stay_as_they_are(past: Past, dead_endpoint: str) -> None:
    past.record(sound(0.3), **FAILED)
    past.record(sound(0.4), **FAILED)
    done = retry(past, dead_endpoint, "--json")
    assert done.returncode == 1
    assert "VOICEMODE_STT_BASE_URLS" in done.stderr
    assert len(json.loads(done.stdout)["left"]) == 2
    assert len(exchanges(past.data)) == 2


def test_what_was_understood_before_somebody_failed_is_kept(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(sound(0.3), **FAILED)
    past.record(sound(0.4), **FAILED)
    speech_endpoint.hear_next("One.", Behaviour.refusing(401))
    done = retry(past, speech_endpoint)
    assert done.returncode == 1
    assert "One." in done.stdout
    assert "VOICEMODE_STT_API_KEYS" in done.stderr
    assert retry(past, speech_endpoint).stdout.strip().endswith("Yes, please.")


def test_a_recording_that_is_gone_is_told_and_the_others_are_heard(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.line(None, "stt", "", 1.0, **FAILED)
    past.line("../outside.wav", "stt", "", 1.0, **FAILED)
    gone = past.data / past.record(sound(0.3), **FAILED)
    past.record(sound(0.4), **FAILED)
    gone.unlink()
    done = retry(past, speech_endpoint)
    assert done.returncode == 1
    assert "Yes, please." in done.stdout
    assert done.stderr.count("still without words") == 3
    assert [part in done.stderr for part in ("No recording", "not there any more", "leads out")] == [True] * 3


@pytest.mark.parametrize("audio_format", ["flac", "opus", "mp3"])
def test_a_recording_of_any_format_can_be_heard_again(
    past: Past, speech_endpoint: SpeechEndpoint, audio_format: str
) -> None:
    path = past.data / past.record(sound(0.5), **FAILED)
    path.write_bytes(make_clip(sound(0.5), LISTENING_FORMAT, audio_format).data)
    assert retry(past, speech_endpoint).returncode == 0
    sent = speech_endpoint.transcriptions[0].upload
    assert sent.rate_hz == 16_000
    assert abs(len(sent.frames) - len(sound(0.5))) < 4_000


def test_a_recording_at_another_rate_is_converted(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(bytes(48_000 * 4), fmt=PcmFormat(48_000, 2), **FAILED)
    assert retry(past, speech_endpoint).returncode == 0
    upload = speech_endpoint.transcriptions[0].upload
    assert (upload.rate_hz, abs(len(upload.frames) - 32_000) < 64) == (16_000, True)


def test_where_the_line_says_who_spoke_when_silence_is_not_sent(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(bytes(64_000) + sound(0.5) + bytes(64_000), speech=[[2.0, 2.5]], **FAILED)
    assert retry(past, speech_endpoint).returncode == 0
    assert speech_endpoint.transcriptions[0].upload.frames == bytes(8_000) + sound(0.5) + bytes(8_000)


def test_the_transcript_lies_next_to_the_recording_where_transcripts_are_kept(
    past: Past, speech_endpoint: SpeechEndpoint
) -> None:
    audio = past.data / past.record(sound(0.3), **FAILED)
    assert retry(past, speech_endpoint, VOICEMODE_SAVE_TRANSCRIPTIONS="true").returncode == 0
    assert audio.with_suffix(".txt").read_text() == "Yes, please."


def test_it_is_in_the_event_log(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(sound(0.3), **FAILED)
    retry(past, speech_endpoint)
    told = [event["event_type"] for event in logged_events(past.data) if event["utterance_id"] == "utt_1"]
    assert told == ["STT_START", "STT_REQUEST", "STT_COMPLETE"]


def test_without_anybody_to_ask_nothing_is_lost(past: Past) -> None:
    past.record(sound(0.3), **FAILED)
    done = retry(past, "https://api.openai.com/v1")
    assert done.returncode == 1
    assert "nobody who could turn speech into words" in done.stderr
    assert len(exchanges(past.data)) == 1


def test_a_conversation_that_is_not_there_is_an_error(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    done = retry(past, speech_endpoint)
    assert done.returncode == 1
    assert "conversations list" in done.stderr


def test_an_export_has_the_words_once(past: Past, speech_endpoint: SpeechEndpoint) -> None:
    past.record(sound(0.3), **FAILED)
    before = voice_mcp(past.data, "conversations", "export", TALK, "-f", "md", "-o", "-").stdout
    assert "could not be transcribed (It was away)" in before
    retry(past, speech_endpoint)
    after = voice_mcp(past.data, "conversations", "export", TALK, "-f", "md", "-o", "-").stdout
    assert (after.count("## "), after.count("> Yes, please."), "transcribed" in after) == (1, 1, False)
