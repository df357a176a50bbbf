from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from voice_mcp.storage.conversation_log import ConversationLog, ConversationSummary, Exchange
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot

TIMEOUT_S = 10.0
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal()
    yield journal
    assert journal.close(TIMEOUT_S)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path)


@pytest.fixture
def log(root: DataRoot, journal: Journal) -> ConversationLog:
    return ConversationLog(root.exchange_files(), journal)


def write_lines(root: DataRoot, *records: dict[str, Any]) -> None:
    root.make(root.exchange_files().folder)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    root.exchange_files().path(NOON.date()).write_text(lines, encoding="utf-8")


def test_a_line_has_the_shape_of_the_contract(root: DataRoot, log: ConversationLog, journal: Journal) -> None:
    log.append(
        Exchange(NOON, "talk", "u1", "tts", "Hello", "audio/talk/0001_tts.wav", 1500, "/project", {"voice": "af_sky"})
    )
    assert journal.flush(TIMEOUT_S)
    line = (root.path / "logs" / "conversations" / "exchanges_2026-01-31.jsonl").read_text(encoding="utf-8")
    assert json.loads(line) == {
        "version": 1,
        "timestamp": "2026-01-31T12:00:00.000000+00:00",
        "conversation_id": "talk",
        "utterance_id": "u1",
        "type": "tts",
        "text": "Hello",
        "audio_file": "audio/talk/0001_tts.wav",
        "duration_ms": 1500,
        "project_path": "/project",
        "metadata": {"voice": "af_sky"},
    }


def test_what_was_written_is_read_back_the_same(log: ConversationLog, journal: Journal) -> None:
    said = Exchange(NOON, "a", "u1", "tts", "Hello", duration_ms=1500, metadata={"underruns": 0})
    heard = Exchange(NOON + timedelta(days=1), "a", "u2", "stt", "Hi 😀", "audio/a/0002_stt.wav")
    other = Exchange(NOON, "b", "u3", "tts", "Elsewhere")
    for exchange in (heard, said, other):
        log.append(exchange)
    journal.flush(TIMEOUT_S)
    assert list(log.exchanges()) == [said, other, heard]
    assert list(log.exchanges("a")) == [said, heard]


def test_conversations_are_summed_up_oldest_first(log: ConversationLog, journal: Journal) -> None:
    hour = timedelta(hours=1)
    for exchange in (
        Exchange(NOON + hour, "b", "u1", "tts", "x", duration_ms=250),
        Exchange(NOON, "a", "u2", "tts", "x", duration_ms=1500, project_path="/one"),
        Exchange(NOON + 3 * hour, "a", "u3", "stt", "x", duration_ms=9000),
        Exchange(NOON + 2 * hour, "a", "u4", "tts", "x", duration_ms=500, project_path="/two"),
    ):
        log.append(exchange)
    journal.flush(TIMEOUT_S)
    assert log.conversations() == [
        ConversationSummary("a", NOON, NOON + 3 * hour, 3, 2.0, "/two"),
        ConversationSummary("b", NOON + hour, NOON + hour, 1, 0.25, None),
    ]


def test_an_empty_log_has_no_conversations(log: ConversationLog) -> None:
    assert log.conversations() == []


def test_lines_of_other_versions_are_read_as_far_as_they_go(root: DataRoot, log: ConversationLog) -> None:
    line = {"timestamp": "2026-01-31T13:00:00+01:00", "conversation_id": "a", "type": "stt", "text": "Hi", "new": 1}
    write_lines(root, line)
    assert list(log.exchanges()) == [Exchange(NOON, "a", "", "stt", "Hi", version=0)]


def test_lines_that_are_no_exchanges_are_skipped_and_counted(
    root: DataRoot, log: ConversationLog, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"timestamp": "2026-01-31T12:00:00Z", "conversation_id": "a", "type": "tts", "text": "x"}
    bad: list[dict[str, Any]] = [
        {},
        {**good, "type": "note"},
        {**good, "timestamp": "noon"},
        {**good, "timestamp": 5},
        {**good, "duration_ms": "long"},
        {**good, "metadata": "none"},
    ]
    write_lines(root, good, *bad)
    assert len(list(log.exchanges())) == 1
    assert "6 line(s) of the conversation log are no exchanges" in caplog.text


def test_a_folder_that_cannot_be_is_told_as_a_loss(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").touch()
    log = ConversationLog(DataRoot(tmp_path / "file").exchange_files(), journal)
    log.append(Exchange(NOON, "a", "u1", "tts", "x"))
    journal.flush(TIMEOUT_S)
    assert [failure.what for failure in journal.failures()] == ["The conversation log"]


def heard(text: str, utterance_id: str = "u1", conversation_id: str = "talk", **metadata: Any) -> Exchange:
    return Exchange(NOON, conversation_id, utterance_id, "stt", text, "audio/talk/0001_stt.wav", 900, None, metadata)


def test_what_was_heard_again_stands_where_it_stood(log: ConversationLog, journal: Journal) -> None:
    failed, again = heard("", status="failed"), heard("Yes.", status="completed")
    said = Exchange(NOON + timedelta(seconds=5), "talk", "u1", "tts", "Good.")
    other = heard("No.", conversation_id="other")
    for exchange in (failed, said, other, again):
        log.append(exchange)
    assert journal.flush(TIMEOUT_S)

    assert list(log.exchanges("talk")) == [again, said]
    assert list(log.exchanges()) == [again, said, other]
    assert [(summary.id, summary.count) for summary in log.conversations()] == [("talk", 2), ("other", 1)]


def test_lines_that_name_no_utterance_are_all_shown(log: ConversationLog, journal: Journal) -> None:
    lines = [heard("One.", ""), heard("Two.", ""), heard("Three.")]
    for exchange in lines:
        log.append(exchange)
    assert journal.flush(TIMEOUT_S)

    assert list(log.exchanges()) == lines
    assert log.conversations()[0].count == 3
