from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voice_mcp.storage.inventory import Stock, take_stock
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_folder
from voice_mcp.storage.retention import remove_old

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=3)


def put(path: Path, changed: datetime, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    os.utime(path, (changed.timestamp(), changed.timestamp()))


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    root = DataRoot(tmp_path / "root")
    put(root.audio_dir("a") / "0001_tts.wav", OLD, 100)
    put(root.audio_dir("b") / "0001_stt.flac", NOW, 50)
    put(root.audio_dir("a") / "0001_tts.txt", OLD, 7)
    put(root.audio_dir("a") / "notes.txt", OLD, 1000)
    put(root.exchange_files().path(OLD.date()), NOW, 20)
    put(phrase_folder(root) / f"{'a' * 40}.phrase", NOW, 9)
    return root


def stocks(root: DataRoot) -> dict[str, Stock]:
    return {stock.what: stock for stock in take_stock(root, root.event_files())}


def test_all_that_is_kept_is_counted_and_nothing_else(root: DataRoot) -> None:
    found = {what: (stock.files, stock.size_bytes, stock.oldest) for what, stock in stocks(root).items()}
    assert found == {
        "recordings": (2, 150, OLD),
        "transcripts": (1, 7, OLD),
        "conversation log": (1, 20, datetime(2026, 3, 28, tzinfo=UTC)),
        "event log": (0, 0, None),
        "phrases": (1, 9, NOW),
    }


@pytest.mark.parametrize("what", ["recordings", "transcripts", "conversation log"])
def test_the_moment_that_is_told_is_the_moment_from_which_it_is_deleted(root: DataRoot, what: str) -> None:
    gone_at = stocks(root)[what].gone_at(30)
    assert gone_at is not None
    for moment, is_there in ((gone_at - timedelta(seconds=1), True), (gone_at + timedelta(seconds=1), False)):
        remove_old(root, root.event_files(), 30, moment)
        oldest = stocks(root)[what].oldest
        assert (oldest is not None and oldest < NOW - timedelta(days=1)) is is_there


def test_what_is_kept_for_ever_is_never_deleted(root: DataRoot) -> None:
    assert stocks(root)["recordings"].gone_at(0) is None
    assert stocks(root)["recordings"].gone_at(36_500_000) is None
    assert stocks(root)["event log"].gone_at(30) is None


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_what_a_link_leads_to_is_not_counted(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "root")
    put(tmp_path / "outside" / "a" / "0001_tts.wav", OLD, 100)
    root.path.mkdir()
    root.audio.symlink_to(tmp_path / "outside")
    assert {stock.files for stock in take_stock(root, root.event_files())} == {0}
