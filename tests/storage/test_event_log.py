from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from voice_mcp.events import Event, EventSink, EventType
from voice_mcp.storage.event_log import EventLog, follow_events, read_events
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
    return DataRoot(tmp_path / "root")


def event(timestamp: datetime = NOON, conversation_id: str = "talk", **data: Any) -> Event:
    return Event(timestamp, EventType.TTS_START, conversation_id, "u1", data)


def test_a_line_has_the_shape_of_the_contract(root: DataRoot, journal: Journal) -> None:
    sink: EventSink = EventLog(root.event_files(), journal)
    sink(event(voice="af_sky"))
    assert journal.flush(TIMEOUT_S)
    line = (root.path / "logs" / "events" / "voicemode_events_2026-01-31.jsonl").read_text(encoding="utf-8")
    assert json.loads(line) == {
        "timestamp": "2026-01-31T12:00:00.000000+00:00",
        "event_type": "TTS_START",
        "conversation_id": "talk",
        "utterance_id": "u1",
        "session_id": "talk",
        "data": {"voice": "af_sky"},
    }


def test_times_and_files_are_in_utc_wherever_the_clock_stands(root: DataRoot, journal: Journal) -> None:
    log = EventLog(root.event_files(), journal)
    log(event(datetime(2026, 2, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))))
    journal.flush(TIMEOUT_S)
    assert [path.name for _, path in root.event_files().days()] == ["voicemode_events_2026-01-31.jsonl"]
    assert next(read_events(root.event_files()))["timestamp"] == "2026-01-31T23:30:00.000000+00:00"


def test_data_is_written_as_it_was_when_the_event_happened(root: DataRoot, journal: Journal) -> None:
    data = {"underruns": 1}
    EventLog(root.event_files(), journal)(Event(NOON, EventType.TTS_UNDERRUN, "talk", data=data))
    data["underruns"] = 2
    journal.flush(TIMEOUT_S)
    assert next(read_events(root.event_files()))["data"] == {"underruns": 1}


def test_events_are_read_over_days_in_order_and_by_conversation(root: DataRoot, journal: Journal) -> None:
    log = EventLog(root.event_files(), journal)
    for day, conversation_id in [(2, "a"), (0, "a"), (1, "b"), (1, "a")]:
        log(event(NOON + timedelta(days=day), conversation_id, day=day))
    journal.flush(TIMEOUT_S)
    assert [record["data"]["day"] for record in read_events(root.event_files())] == [0, 1, 1, 2]
    assert [record["data"]["day"] for record in read_events(root.event_files(), "a")] == [0, 1, 2]


def test_other_files_in_the_folder_are_not_read(root: DataRoot) -> None:
    folder = root.make(root.event_files().folder)
    for name in ["voicemode_events_2026-02-31.jsonl", "voicemode_events_2026-01-31.jsonl.bak", "notes.jsonl"]:
        (folder / name).write_text('{"a": 1}\n', encoding="utf-8")
    assert list(read_events(root.event_files())) == []


def test_the_log_can_be_followed(root: DataRoot, journal: Journal) -> None:
    log = EventLog(root.event_files(), journal)
    days = iter([0, 1])

    def wait() -> bool:
        day = next(days, None)
        if day is None:
            return False
        log(event(NOON + timedelta(days=day), "a", day=day))
        log(event(NOON + timedelta(days=day), "b", day=day))
        return journal.flush(TIMEOUT_S)

    followed = follow_events(root.event_files(), wait, conversation_id="b")
    assert [record["data"]["day"] for record in followed] == [0, 1]


def test_a_folder_that_cannot_be_is_told_as_a_loss_and_stops_nobody(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").touch()
    EventLog(DataRoot(tmp_path / "file" / "root").event_files(), journal)(event())
    assert journal.flush(TIMEOUT_S)
    assert [failure.what for failure in journal.failures()] == ["The event log"]
