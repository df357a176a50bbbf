from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from voice_mcp.errors import InvalidConversationId, StorageError
from voice_mcp.storage.paths import DataRoot, is_conversation_id


def test_everything_has_its_place_below_the_root(tmp_path: Path) -> None:
    root, day = DataRoot(tmp_path), date(2026, 1, 31)
    assert root.audio_dir("talk-1") == tmp_path / "audio" / "talk-1"
    assert root.event_files().path(day) == tmp_path / "logs" / "events" / "voicemode_events_2026-01-31.jsonl"
    assert root.exchange_files().path(day) == tmp_path / "logs" / "conversations" / "exchanges_2026-01-31.jsonl"


def test_the_event_log_can_be_moved_elsewhere(tmp_path: Path) -> None:
    files = DataRoot(tmp_path / "root").event_files(tmp_path / "elsewhere")
    assert files.path(date(2026, 1, 31)) == tmp_path / "elsewhere" / "voicemode_events_2026-01-31.jsonl"


def test_naming_a_place_makes_nothing(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "root")
    root.audio_dir("a"), root.event_files().days(), root.exchange_files().days()
    assert not root.path.exists()
    assert root.make(root.audio_dir("a")).is_dir()


@pytest.mark.parametrize("text", ["a", "A-z_09", "x" * 64])
def test_an_id_of_letters_digits_underscores_and_hyphens_is_a_conversation(text: str) -> None:
    assert is_conversation_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a\\b", "a b", "a\n", "é", "\u0661", "x" * 65, "/etc", "a\0"])
def test_any_other_id_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidConversationId):
        DataRoot(tmp_path).audio_dir(text)


def test_records_name_files_from_the_root_with_forward_slashes(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    path = root.audio_dir("a") / "0001_tts.wav"
    assert root.relative(path) == "audio/a/0001_tts.wav"
    assert root.locate("audio/a/0001_tts.wav") == path


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "audio/../../secret"])
def test_a_record_cannot_name_a_file_outside_the_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="leads out of"):
        DataRoot(tmp_path / "root").locate(name)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_record_cannot_name_a_file_behind_a_link_out_of_the_root(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "root")
    root.make(root.audio)
    (root.audio / "a").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="leads out of"):
        root.locate("audio/a/0001_tts.wav")


def test_a_file_outside_the_root_has_no_name_in_records(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not lie in"):
        DataRoot(tmp_path / "root").relative(tmp_path / "0001_tts.wav")
