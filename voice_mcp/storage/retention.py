"""What is older than the user wants to keep is removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from voice_mcp.errors import StorageError
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.files import list_folder, storage_errors
from voice_mcp.storage.kept import conversation_folders, is_file, is_own
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_files, phrase_folder
from voice_mcp.storage.recordings import utterance_number

_FOR_EVER_DAYS = 36_500
"""From here on the calendar may not reach back far enough."""


def remove_old(root: DataRoot, event_files: DailyFiles, days: int, now: datetime) -> int:
    """Remove recordings, transcripts, logs and kept phrases older than ``days`` days; returns how many files.

    Audio is as old as its last change, a phrase as its last saying, a log as its date. Only names the product gives are
    touched, in its own folders, and no link is followed. Touches the disk: meant for the journal's thread.

    Args:
        root: The data root.
        event_files: The event log's files, which VOICEMODE_EVENT_LOG_DIR may have moved.
        days: VOICEMODE_RETENTION_DAYS; 0, and a century or more, keep everything.
        now: The present moment, UTC.

    Raises:
        StorageError: Some could not be removed; the others are.
    """
    if not 0 < days < _FOR_EVER_DAYS:
        return 0
    oldest = now.astimezone(UTC) - timedelta(days=days)
    removed, refused = 0, list[OSError]()
    logs = (*_old_logs(event_files, oldest), *_old_logs(root.exchange_files(), oldest))
    for path in (*logs, *_old_audio(root, oldest), *_old_phrases(root, oldest)):
        try:
            path.unlink()
            removed += 1
        except FileNotFoundError:
            continue  # another process removes the same
        except OSError as exc:
            refused.append(exc)
    _remove_empty_folders(root)
    if refused:
        raise StorageError(f"{len(refused)} old file(s) could not be removed: {refused[0]}.") from refused[0]
    return removed


def _old_logs(files: DailyFiles, oldest: datetime) -> list[Path]:
    if not is_own(files.root, files.folder):
        return []
    logs = [path for day, path in files.days() if day < oldest.date() and is_file(path)]
    # What somebody who died while taking lines out of a log has left: nobody is going to finish it.
    return logs + [path for path in files.parts() if is_file(path, oldest.timestamp())]


def _old_audio(root: DataRoot, oldest: datetime) -> list[Path]:
    paths = [path for folder in conversation_folders(root) for path in list_folder(folder)]
    known = [path for path in paths if utterance_number(path.name) is not None]
    return [path for path in known if is_file(path, changed_before_s=oldest.timestamp())]


def _old_phrases(root: DataRoot, oldest: datetime) -> list[Path]:
    if not is_own(root.path, phrase_folder(root)):
        return []
    return [file.path for file in phrase_files(root) if file.changed_s < oldest.timestamp()]


def _remove_empty_folders(root: DataRoot) -> None:
    folders = conversation_folders(root)
    if not folders:
        return
    # Under the lock of the recordings, so that no folder goes between its making and its first file.
    with locked(root.audio), storage_errors(f"{root.audio} could not be tidied"):
        for folder in folders:
            if folder.is_dir() and not list_folder(folder):
                folder.rmdir()
