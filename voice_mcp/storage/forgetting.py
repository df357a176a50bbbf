"""Deleting what was kept, on demand: of one conversation, before a day, or all of it.

Other processes go on writing meanwhile. Lines of a log are taken out under the lock under which lines are added, and a
log changes hands whole: whoever reads or writes finds the file as it was or as it is now, never half of either. Only
names the product gives are touched, and no link is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TypeVar

from voice_mcp.errors import StorageError
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.files import list_folder, storage_errors
from voice_mcp.storage.jsonl import drop_lines
from voice_mcp.storage.kept import conversation_folders, is_file, is_own
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import KEY_NAME, phrase_files, phrase_folder
from voice_mcp.storage.recordings import utterance_number

TEXT_SUFFIX = ".txt"
LOCK_WAIT_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be forgotten: exactly one of the three."""

    conversation_id: str | None = None
    before: date | None = None
    """Everything of the UTC days before this one."""
    everything: bool = False

    @property
    def before_s(self) -> float:
        """The first moment that is kept, in seconds since 1970; everything is older than never."""
        return datetime.combine(self.before, time(), UTC).timestamp() if self.before is not None else float("inf")

    def takes_line(self, record: dict[str, object] | None, line: bytes) -> bool:
        """Whether a line of a log goes; of a line that is no object (None) what it mentions is all there is to know."""
        if self.conversation_id is None:
            return True
        if record is None:
            return self.conversation_id.encode() in line
        return self.conversation_id in (record.get("conversation_id"), record.get("session_id"))


@dataclass(slots=True)
class Forgotten:
    """What was deleted, or would be."""

    recordings: int = 0
    transcripts: int = 0
    exchanges: int = 0
    """Lines of the conversation log."""
    events: int = 0
    """Lines of the event log."""
    phrases: int = 0
    size_bytes: int = 0
    """Of the files that went."""
    left: list[str] = field(default_factory=list)
    """What could not be deleted, one sentence each."""

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to delete."""
        return not (self.recordings or self.transcripts or self.exchanges or self.events or self.phrases or self.left)


def forget(
    root: DataRoot,
    event_files: DailyFiles,
    selection: Selection,
    *,
    really: bool = True,
    lock_wait_s: float = LOCK_WAIT_S,
) -> Forgotten:
    """Delete what is selected; what cannot be deleted is told, and costs nothing of the rest.

    Phrases that are said often cannot be told apart by conversation, so all of them go with any of them.

    Args:
        root: The data root.
        event_files: The event log's files, which VOICEMODE_EVENT_LOG_DIR may have moved.
        selection: What.
        really: False counts what would go and touches nothing.
        lock_wait_s: How long to wait for whoever writes.
    """
    task = _Task(root, selection, really, lock_wait_s)
    for path in task.audio():
        task.remove(path, task.count_audio)
    task.forgotten.exchanges = task.drop(root.exchange_files())
    task.forgotten.events = task.drop(event_files)
    for path in task.phrases():
        task.remove(path, task.count_phrase)
    if really:
        task.tidy()
    return task.forgotten


class _Task:
    def __init__(self, root: DataRoot, selection: Selection, really: bool, lock_wait_s: float) -> None:
        self._root = root
        self._selection = selection
        self._really = really
        self._lock_wait_s = lock_wait_s
        self.forgotten = Forgotten()

    # --- which ---------------------------------------------------------------------------------------------------

    def audio(self) -> Iterator[Path]:
        """The recordings and transcripts that go."""
        only = self._selection.conversation_id
        for folder in self._listed(lambda: conversation_folders(self._root)):
            if only in (None, folder.name):
                numbered = [path for path in self._list(folder) if utterance_number(path.name) is not None]
                yield from (path for path in numbered if is_file(path, self._selection.before_s))

    def phrases(self) -> Iterator[Path]:
        """The phrases that go, and with all of them the key their names are made with."""
        folder = phrase_folder(self._root)
        if not is_own(self._root.path, folder):
            return
        for file in self._listed(lambda: phrase_files(self._root)):
            if file.changed_s < self._selection.before_s and not file.path.name.startswith(KEY_NAME):
                yield file.path
        if self._selection.everything and is_file(folder / KEY_NAME):
            yield folder / KEY_NAME

    def _list(self, folder: Path) -> list[Path]:
        return list(self._listed(lambda: list_folder(folder)))

    def _listed(self, make: Callable[[], Iterable[T]]) -> Iterable[T]:
        try:
            return make()
        except (OSError, StorageError) as exc:
            self._keep(str(exc))
            return ()

    # --- away with it --------------------------------------------------------------------------------------------

    def remove(self, path: Path, count: Callable[[Path], None]) -> None:
        """Delete a file."""
        try:
            size_bytes = path.lstat().st_size
            if self._really:
                path.unlink()
        except FileNotFoundError:
            return  # another process was faster
        except OSError as exc:
            self._keep(f"{path}: {exc.strerror or exc}")
            return
        self.forgotten.size_bytes += size_bytes
        count(path)

    def drop(self, files: DailyFiles) -> int:
        """Take lines out of a log; how many."""
        count = 0
        if not is_own(files.root, files.folder):
            return 0
        for day, path in self._listed(files.days):
            before = self._selection.before
            if not is_file(path) or (before is not None and day >= before):
                continue
            try:
                dropped = drop_lines(
                    path, self._selection.takes_line, really=self._really, lock_wait_s=self._lock_wait_s
                )
            except StorageError as exc:
                self._keep(f"{path}: {exc.message.rstrip('.')}")
                continue
            count += dropped.lines
            self.forgotten.size_bytes += dropped.size_bytes
        for path in self._listed(files.parts):
            self._remove_part(path)
        return count

    def _remove_part(self, path: Path) -> None:
        """What somebody has left who died while taking lines out: whoever holds the lock is alone with it."""
        if not self._really:
            return
        try:
            with locked(path.parent, self._lock_wait_s), storage_errors(f"{path.name} could not be removed"):
                path.unlink(missing_ok=True)
        except StorageError as exc:
            self._keep(f"{path}: {exc.message.rstrip('.')}")

    def tidy(self) -> None:
        """Remove folders of conversations in which nothing is left."""
        if not is_own(self._root.path, self._root.audio):
            return
        try:
            with locked(self._root.audio, self._lock_wait_s):
                for folder in conversation_folders(self._root):
                    with suppress(OSError):  # there is something in it that is not ours
                        folder.rmdir()
        except StorageError as exc:
            self._keep(str(exc))

    def count_audio(self, path: Path) -> None:
        """A file of a conversation went."""
        if path.suffix == TEXT_SUFFIX:
            self.forgotten.transcripts += 1
        else:
            self.forgotten.recordings += 1

    def count_phrase(self, path: Path) -> None:
        """A file of the phrases went."""
        if path.name != KEY_NAME:
            self.forgotten.phrases += 1

    def _keep(self, sentence: str) -> None:
        self.forgotten.left.append(f"{sentence.rstrip('.')}.")
