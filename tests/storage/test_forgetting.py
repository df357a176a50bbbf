"""Forgetting: what is selected goes, all else stays, and nobody who writes meanwhile loses a line."""

from __future__ import annotations

import json
import os
import stat
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.storage.children import TIMEOUT_S, run_together, start
from voice_mcp.storage.forgetting import Forgotten, Selection, forget
from voice_mcp.storage.jsonl import read_jsonl
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_folder
from voice_mcp.storage.retention import remove_old

MONDAY, TUESDAY = datetime(2026, 3, 30, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links and modes are other things on Windows")
not_root = pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may remove anything")


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    """Two conversations on two days, and a phrase of each day."""
    root = DataRoot(tmp_path / "root")
    for moment in (MONDAY, TUESDAY):
        for name in ("one", "two"):
            record = {"timestamp": moment.isoformat(), "conversation_id": name, "text": f"{name} said this"}
            root.exchange_files().append(moment, record)
            root.event_files().append(moment, {**record, "session_id": name})
            root.event_files().append(moment, {**record, "session_id": name})
        put(phrase_folder(root) / f"{'a' if moment == MONDAY else 'b'}{'0' * 39}.phrase", moment)
    put(phrase_folder(root) / ".key", MONDAY)
    put(root.audio_dir("one") / "0001_tts.wav", MONDAY)
    put(root.audio_dir("one") / "0001_tts.txt", MONDAY)
    put(root.audio_dir("two") / "0001_stt.wav", TUESDAY)
    return root


def put(path: Path, changed: datetime, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    return path


def left(root: DataRoot) -> list[str]:
    return sorted(root.relative(path) for path in root.path.rglob("*") if path.is_file() and path.name != ".lock")


def forgotten(root: DataRoot, *, really: bool = True, **selected: Any) -> Forgotten:
    return forget(root, root.event_files(), Selection(**selected), really=really)


def counts(result: Forgotten) -> tuple[int, int, int, int, int]:
    return result.recordings, result.transcripts, result.exchanges, result.events, result.phrases


def test_a_conversation_goes_and_the_others_stay(root: DataRoot) -> None:
    result = forgotten(root, conversation_id="one")
    assert counts(result) == (1, 1, 2, 4, 2)
    assert result.left == []
    assert not root.audio_dir("one").exists()
    assert (root.audio_dir("two") / "0001_stt.wav").exists()
    for files in (root.exchange_files(), root.event_files()):
        assert {record["conversation_id"] for record in files.read()} == {"two"}
    assert b"one" not in b"".join(path.read_bytes() for path in root.path.rglob("*") if path.is_file())


def test_what_came_before_a_day_goes(root: DataRoot) -> None:
    result = forgotten(root, before=date(2026, 3, 31))
    assert counts(result) == (1, 1, 2, 4, 1)
    assert left(root) == [
        "audio/two/0001_stt.wav",
        "cache/phrases/.key",
        f"cache/phrases/b{'0' * 39}.phrase",
        "logs/conversations/exchanges_2026-03-31.jsonl",
        "logs/events/voicemode_events_2026-03-31.jsonl",
    ]


def test_all_of_it_goes(root: DataRoot) -> None:
    result = forgotten(root, everything=True)
    assert counts(result) == (2, 1, 4, 8, 2)
    assert left(root) == []
    assert forgotten(root, everything=True).is_nothing


@pytest.mark.parametrize(
    "selected", [{"conversation_id": "one"}, {"before": date(2026, 3, 31)}, {"everything": True}], ids=str
)
def test_a_dry_run_counts_the_same_and_touches_nothing(root: DataRoot, selected: dict[str, Any]) -> None:
    before = {path: path.read_bytes() for path in root.path.rglob("*") if path.is_file()}
    planned = forgotten(root, really=False, **selected)
    assert {path: path.read_bytes() for path in root.path.rglob("*") if path.is_file()} == before
    assert forgotten(root, **selected) == planned


def test_a_line_that_is_cut_goes_with_the_conversation_it_names(root: DataRoot) -> None:
    path = root.exchange_files().path(MONDAY.date())
    with path.open("ab") as file:
        file.write(b'{"conversation_id":"one","text":"half a sen\n{"conversation_id":"two","text":"half\n')
    assert forgotten(root, conversation_id="one").exchanges == 3
    assert b"half a sen" not in path.read_bytes()
    assert b'"two","text":"half\n' in path.read_bytes()


def test_the_event_log_is_found_where_it_was_moved_to(tmp_path: Path, root: DataRoot) -> None:
    files = root.event_files(tmp_path / "elsewhere")
    files.append(MONDAY, {"conversation_id": "one"})
    assert forget(root, files, Selection(conversation_id="one")).events == 1


def test_an_empty_folder_is_no_error_and_is_not_made(tmp_path: Path) -> None:
    assert forgotten(DataRoot(tmp_path / "nothing"), everything=True).is_nothing
    assert not (tmp_path / "nothing").exists()


def test_what_the_product_did_not_name_stays(root: DataRoot) -> None:
    strangers = [
        put(root.audio_dir("one") / "notes.txt", MONDAY),
        put(root.path / "voicemode.env", MONDAY),
        put(phrase_folder(root) / "mine.phrase", MONDAY),
        put(root.exchange_files().folder / "notes.jsonl", MONDAY),
    ]
    forgotten(root, everything=True)
    assert all(path.exists() for path in strangers)


@posix_only
def test_what_is_left_of_a_log_is_the_owners_alone(root: DataRoot) -> None:
    forgotten(root, conversation_id="one")
    logs = [path for path in root.path.rglob("*.jsonl")]
    assert len(logs) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in logs} == {0o600}


@posix_only
@pytest.mark.parametrize("linked", ["audio", "audio/three", "logs", "logs/events", "cache", "cache/phrases"])
def test_no_link_is_followed(tmp_path: Path, linked: str) -> None:
    root, outside = DataRoot(tmp_path / "root"), tmp_path / "outside"
    victims = [
        put(outside / "three" / "0001_tts.wav", MONDAY),
        put(outside / "0001_tts.wav", MONDAY),
        put(outside / "events" / "voicemode_events_2026-03-30.jsonl", MONDAY, b"{}\n"),
        put(outside / "voicemode_events_2026-03-30.jsonl", MONDAY, b"{}\n"),
        put(outside / "phrases" / f"{'a' * 40}.phrase", MONDAY),
        put(outside / f"{'a' * 40}.phrase", MONDAY),
        put(outside / ".key", MONDAY),
    ]
    link = root.path / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    forgotten(root, everything=True)
    assert all(path.exists() for path in victims)


@posix_only
def test_a_log_that_is_a_link_is_left_alone(tmp_path: Path, root: DataRoot) -> None:
    victim = put(tmp_path / "victim.jsonl", MONDAY, b'{"conversation_id":"one"}\n')
    path = root.exchange_files().path(date(2026, 3, 29))
    path.symlink_to(victim)
    forgotten(root, conversation_id="one")
    assert victim.read_bytes() == b'{"conversation_id":"one"}\n'


@not_root
def test_what_cannot_be_deleted_is_told_and_the_rest_goes(root: DataRoot) -> None:
    folder = root.audio_dir("two")
    folder.chmod(0o500)
    result = forgotten(root, everything=True)
    folder.chmod(0o700)
    assert len(result.left) == 1
    assert "0001_stt.wav" in result.left[0]
    assert counts(result) == (1, 1, 4, 8, 2)


def test_a_log_that_is_locked_for_too_long_is_told_and_the_rest_goes(root: DataRoot) -> None:
    with locked(root.exchange_files().folder):
        result = forget(root, root.event_files(), Selection(everything=True), lock_wait_s=0.05)
    assert len(result.left) == 2
    assert all("locked" in line for line in result.left)
    assert counts(result) == (2, 1, 0, 8, 2)


def test_what_a_dead_process_left_of_a_new_log_goes_with_the_old_ones(root: DataRoot) -> None:
    part = put(root.exchange_files().folder / f"exchanges_2026-03-30.jsonl.{'0' * 8}.part", MONDAY)
    assert remove_old(root, root.event_files(), 30, datetime(2026, 4, 20, tzinfo=UTC)) == 0
    assert part.exists()
    forgotten(root, everything=True)
    assert not part.exists()
    part = put(part, MONDAY)
    assert remove_old(root, root.event_files(), 30, datetime(2026, 6, 1, tzinfo=UTC)) == 1


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from voice_mcp.storage.paths import DataRoot

root, name, count = DataRoot(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
moment = datetime(2026, 3, 31, 12, tzinfo=UTC)
for number in range(count):
    record = {"conversation_id": name, "number": number, "text": "x" * 500}
    root.exchange_files().append(moment, record)
"""
FORGETTER = """
import sys
from pathlib import Path
from voice_mcp.storage.forgetting import Selection, forget
from voice_mcp.storage.paths import DataRoot

root = DataRoot(Path(sys.argv[1]))
for _ in range(int(sys.argv[3])):
    result = forget(root, root.event_files(), Selection(conversation_id=sys.argv[2]))
    assert not result.left, result.left
"""


def test_writers_lose_no_line_while_others_are_forgotten(tmp_path: Path) -> None:
    base = str(tmp_path / "root")
    writers = [start(WRITER, [base, name, "120"]) for name in ("kept", "also-kept", "gone")]
    run_together(FORGETTER, [[base, "gone", "60"], [base, "nobody", "60"]])
    for writer in writers:
        _, errors = writer.communicate(timeout=TIMEOUT_S)
        assert writer.returncode == 0, errors
    root = DataRoot(tmp_path / "root")
    assert forgotten(root, conversation_id="gone").left == []
    (path,) = [path for _, path in root.exchange_files().days()]
    lines = path.read_bytes().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    for name in ("kept", "also-kept"):
        numbers = [record["number"] for record in read_jsonl(path) if record["conversation_id"] == name]
        assert numbers == list(range(120))
    assert {record["conversation_id"] for record in read_jsonl(path)} == {"kept", "also-kept"}
