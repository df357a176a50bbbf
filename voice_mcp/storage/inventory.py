"""What is on disk: how much of what, where, since when, and when it goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.files import list_folder
from voice_mcp.storage.forgetting import TEXT_SUFFIX
from voice_mcp.storage.kept import conversation_folders, is_file, is_own
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_files, phrase_folder
from voice_mcp.storage.recordings import utterance_number


@dataclass(frozen=True, slots=True)
class Stock:
    """All there is of one kind."""

    what: str
    folder: Path
    files: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None
    """When the oldest was written last; of a log the beginning of its day."""
    covers_days: int = 0
    """How many days of age a file may have within itself."""

    def gone_at(self, retention_days: int) -> datetime | None:
        """From when on the oldest is deleted at the next start; None when there is none, or nothing ever goes."""
        if self.oldest is None or not retention_days:
            return None
        try:
            return self.oldest + timedelta(days=retention_days + self.covers_days)
        except OverflowError:
            return None


def take_stock(root: DataRoot, event_files: DailyFiles) -> list[Stock]:
    """Everything that is kept, kind by kind. Touches the disk.

    Raises:
        StorageError: A folder cannot be listed.
    """
    numbered = [
        path
        for folder in conversation_folders(root)
        for path in list_folder(folder)
        if utterance_number(path.name) is not None and is_file(path)
    ]
    phrases = phrase_files(root) if is_own(root.path, phrase_folder(root)) else []
    return [
        _stock("recordings", root.audio, [path for path in numbered if path.suffix != TEXT_SUFFIX]),
        _stock("transcripts", root.audio, [path for path in numbered if path.suffix == TEXT_SUFFIX]),
        _logs("conversation log", root.exchange_files()),
        _logs("event log", event_files),
        _stock("phrases", phrase_folder(root), [file.path for file in phrases]),
    ]


def _stock(what: str, folder: Path, paths: Iterable[Path]) -> Stock:
    found = []
    for path in paths:
        try:
            found.append(path.lstat())
        except FileNotFoundError:  # another process removed it
            continue
    oldest = min((status.st_mtime for status in found), default=None)
    return Stock(
        what,
        folder,
        len(found),
        sum(status.st_size for status in found),
        datetime.fromtimestamp(oldest, UTC) if oldest is not None else None,
    )


def _logs(what: str, files: DailyFiles) -> Stock:
    days = files.days() if is_own(files.root, files.folder) else []
    own = [(day, path) for day, path in days if is_file(path)]
    stock = _stock(what, files.folder, [path for _, path in own])
    oldest = datetime.combine(own[0][0], time(), UTC) if own else None
    return Stock(what, files.folder, stock.files, stock.size_bytes, oldest, covers_days=1)
