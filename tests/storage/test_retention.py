from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voice_mcp.errors import StorageError
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_folder
from voice_mcp.storage.retention import remove_old

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=31)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "root")


def put(path: Path, changed: datetime = NOW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    return path


def remove(root: DataRoot, days: int = 30) -> int:
    return remove_old(root, root.event_files(), days, NOW)


def left(root: DataRoot) -> list[str]:
    return sorted(root.relative(path) for path in root.path.rglob("*") if path.is_file() and path.name != ".lock")


def test_old_recordings_transcripts_and_logs_go_and_young_ones_stay(root: DataRoot) -> None:
    put(root.audio_dir("a") / "0001_tts.wav", OLD)
    put(root.audio_dir("a") / "0001_tts.txt", OLD)
    put(root.audio_dir("a") / "0002_stt.wav", NOW - timedelta(days=29))
    put(root.event_files().path(OLD.date()))
    put(root.event_files().path(NOW.date() - timedelta(days=30)))
    put(root.exchange_files().path(OLD.date()))
    put(root.exchange_files().path(NOW.date()))
    assert remove(root) == 4
    assert left(root) == [
        "audio/a/0002_stt.wav",
        "logs/conversations/exchanges_2026-03-31.jsonl",
        "logs/events/voicemode_events_2026-03-01.jsonl",
    ]


def test_a_calendar_that_was_set_back_makes_nothing_old(root: DataRoot) -> None:
    tomorrow, next_year = NOW + timedelta(days=1), NOW + timedelta(days=365)
    put(root.audio_dir("a") / "0001_tts.wav", tomorrow)
    put(root.audio_dir("a") / "0002_stt.wav", next_year)
    put(root.event_files().path(next_year.date()))
    put(root.exchange_files().path(tomorrow.date()))
    put(phrase_folder(root) / f"{'a' * 40}.phrase", next_year)
    assert remove(root, days=1) == 0


def test_phrases_go_that_were_not_said_for_long_and_the_key_of_the_others_stays(root: DataRoot) -> None:
    put(phrase_folder(root) / f"{'a' * 40}.phrase", OLD)
    put(phrase_folder(root) / f"{'b' * 40}.phrase.{'0' * 8}.part", OLD)
    put(phrase_folder(root) / f"{'c' * 40}.phrase", NOW)
    put(phrase_folder(root) / ".key", OLD)
    assert remove(root) == 2
    assert left(root) == ["cache/phrases/.key", f"cache/phrases/{'c' * 40}.phrase"]


def test_a_conversation_without_recordings_loses_its_folder(root: DataRoot) -> None:
    put(root.audio_dir("a") / "0001_tts.wav", OLD)
    put(root.audio_dir("b") / "0001_tts.wav", NOW)
    assert remove(root) == 1
    assert not root.audio_dir("a").exists()
    assert root.audio_dir("b").exists()


@pytest.mark.parametrize("days", [0, 1_000_000])
def test_zero_days_and_centuries_keep_everything(root: DataRoot, days: int) -> None:
    put(root.audio_dir("a") / "0001_tts.wav", OLD)
    assert remove(root, days) == 0
    assert left(root) == ["audio/a/0001_tts.wav"]


def test_what_the_product_did_not_name_is_never_touched(root: DataRoot) -> None:
    strangers = [
        put(root.audio_dir("a") / "notes.wav", OLD),
        put(root.audio / "0001_tts.wav", OLD),
        put(root.audio / "not a conversation" / "0001_tts.wav", OLD),
        put(root.audio_dir("a") / "deeper" / "0001_tts.wav", OLD),
        put(root.event_files().folder / "voicemode_events_2020-01-01.jsonl.gz", OLD),
        put(root.event_files().folder / "exchanges_2020-01-01.jsonl", OLD),
        put(root.path / "voicemode.env", OLD),
        put(phrase_folder(root) / "mine.phrase", OLD),
    ]
    assert remove(root) == 0
    assert all(path.exists() for path in strangers)


def test_the_event_log_is_tidied_where_it_was_moved_to(tmp_path: Path, root: DataRoot) -> None:
    files = root.event_files(tmp_path / "elsewhere")
    put(files.path(OLD.date()))
    assert remove_old(root, files, 30, NOW) == 1


def test_an_empty_root_is_no_error_and_is_not_made(root: DataRoot) -> None:
    assert remove(root) == 0
    assert not root.path.exists()


@posix_only
@pytest.mark.parametrize("linked", ["audio", "audio/a", "logs", "logs/events", "cache", "cache/phrases"])
def test_no_link_to_a_folder_is_followed(tmp_path: Path, root: DataRoot, linked: str) -> None:
    outside = tmp_path / "outside"
    victims = [
        put(outside / "a" / "0001_tts.wav", OLD),
        put(outside / "0001_tts.wav", OLD),
        put(outside / "events" / "voicemode_events_2020-01-01.jsonl", OLD),
        put(outside / "voicemode_events_2020-01-01.jsonl", OLD),
        put(outside / f"{'a' * 40}.phrase", OLD),
        put(outside / "phrases" / f"{'a' * 40}.phrase", OLD),
    ]
    link = root.path / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    assert remove(root) == 0
    assert all(path.exists() for path in victims)


@posix_only
def test_a_link_to_a_file_is_left_alone(tmp_path: Path, root: DataRoot) -> None:
    victim = put(tmp_path / "outside.wav", OLD)
    for link in (root.audio_dir("a") / "0001_tts.wav", root.event_files().path(OLD.date())):
        link.parent.mkdir(parents=True)
        link.symlink_to(victim)
    assert remove(root) == 0
    assert victim.exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may remove anything")
def test_a_file_that_cannot_be_removed_is_told_and_the_others_go(root: DataRoot) -> None:
    kept = put(root.audio_dir("a") / "0001_tts.wav", OLD)
    gone = put(root.audio_dir("b") / "0001_tts.wav", OLD)
    kept.parent.chmod(0o500)
    with pytest.raises(StorageError, match=r"1 old file\(s\) could not be removed: .*Permission denied"):
        remove(root)
    kept.parent.chmod(0o700)
    assert (kept.exists(), gone.exists()) == (True, False)
