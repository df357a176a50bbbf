"""Files of one JSON object a line, written by several processes at once.

No line is ever torn: each is one append under the folder's lock, and a line that does not fit on the disk is taken
back. Where a process died in the middle of a line the next one starts on a line of its own, and readers skip the ruin.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.storage.files import open_private, storage_errors, write_all, write_whole
from voice_mcp.storage.locking import locked

logger = logging.getLogger(__name__)

_NEWLINE = b"\n"


def append_jsonl(path: Path, record: Mapping[str, Any], lock_wait_s: float = 10.0) -> None:
    """Add one object to the end of ``path``, which is made (0600) when absent; its folder must be there.

    Values JSON does not know are written as their ``str``. Halves of surrogate pairs, which no UTF-8 can hold, become
    question marks. What was written survives the process, not a power cut.

    Raises:
        StorageError: It could not be written, whole or in part; the file is as it was.
        TypeError: A key is no string.
        ValueError: A number is not finite, or the record holds itself.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":"))
    line = text.encode("utf-8", "replace") + _NEWLINE
    with locked(path.parent, lock_wait_s), storage_errors(f"{path.name} could not be written"):
        fd = open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            _append_line(fd, line)
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was taken out of a file."""

    lines: int
    size_bytes: int


def drop_lines(
    path: Path,
    unwanted: Callable[[dict[str, Any] | None, bytes], bool],
    *,
    really: bool = True,
    lock_wait_s: float = 10.0,
) -> Dropped:
    """Take lines out of ``path`` while others may be adding to it; a file without a line left goes.

    The file is replaced whole: at every moment it is as it was, or as it is to be, also for whoever dies in between.

    Args:
        path: The file; that it is none is no error.
        unwanted: Told a line and its object, None where it is none, whether it goes.
        really: False counts, and changes nothing.
        lock_wait_s: How long to wait for others.

    Raises:
        StorageError: It could not be done; the file is as it was.
    """
    with locked(path.parent, lock_wait_s), storage_errors(f"{path.name} could not be changed"):
        lines = list(_lines(path, 0))
        wanted = [line for line in lines if not unwanted(_parse(line), line)]
        dropped = Dropped(len(lines) - len(wanted), sum(map(len, lines)) - sum(map(len, wanted)))
        if really and dropped.lines and wanted:
            write_whole(path, b"".join(wanted))
        elif really and dropped.lines:
            path.unlink()
    return dropped


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of ``path`` in order; none when there is no such file.

    Lines that are no JSON object are skipped; how many is logged at the end.

    Raises:
        StorageError: It cannot be read.
    """
    damaged = 0
    for line in _lines(path, 0):
        record = _parse(line)
        if record is None:
            damaged += 1
        else:
            yield record
    if damaged:
        logger.warning("%s: %d damaged line(s) skipped.", path, damaged)


def follow_jsonl(
    files: Callable[[], Iterable[Path]], wait: Callable[[], bool], *, from_start: bool = False
) -> Iterator[dict[str, Any]]:
    """The objects that are added to some files, as they come.

    Args:
        files: The files to follow, in order; asked before every look, so that a new day's file is found.
        wait: Called when nothing new is there; returns when it is time to look again, False to end.
        from_start: Begin with what the files hold already.

    Raises:
        StorageError: One cannot be read.
    """
    seen_bytes: dict[Path, int] = {}
    if not from_start:
        seen_bytes = {path: _size_bytes(path) for path in files()}
    while True:
        for path in files():
            # Somebody may have emptied or replaced the file: then it is new.
            start = seen_bytes.get(path, 0)
            position = start if start <= _size_bytes(path) else 0
            for line in _lines(path, position):
                if not line.endswith(_NEWLINE):
                    break  # its writer is not done yet
                position += len(line)
                record = _parse(line)
                if record is not None:
                    yield record
            seen_bytes[path] = position
        if not wait():
            return


def _append_line(fd: int, line: bytes) -> None:
    """Append under the lock; on failure cut the file back to what it was."""
    end = os.lseek(fd, 0, os.SEEK_END)
    if end:
        os.lseek(fd, end - 1, os.SEEK_SET)
        if os.read(fd, 1) != _NEWLINE:
            line = _NEWLINE + line
    try:
        write_all(fd, line)
    except OSError:
        os.ftruncate(fd, end)
        raise


def _lines(path: Path, start_bytes: int) -> Iterator[bytes]:
    with storage_errors(f"{path.name} could not be read"):
        try:
            fd = open_private(path, os.O_RDONLY)
        except FileNotFoundError:  # retention may have removed it after it was listed
            return
        with open(fd, "rb") as file:
            file.seek(start_bytes)
            # In bytes, since only a newline ends a line here; text has other line ends, and JSON strings hold them.
            yield from file


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # cut short, not UTF-8, or brackets without end
        return None
    return record if isinstance(record, dict) else None
