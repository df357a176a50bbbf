"""Files that stand for something as long as their process lives: the kernel's lock on them ends with it.

What is written into such a file begins at its second byte: the first is what is locked, and Windows lets nobody read
what somebody else has locked.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from voice_mcp.errors import StorageError
from voice_mcp.storage.files import open_private

MOST_BYTES = 4096
"""Nobody writes more into such a file."""
_IN_USE, _RELEASED = b"1", b"0"
"""The first byte."""
NEWBORN = ".new"
"""What a name ends with that has not been locked yet: nobody looks for such files (``clear_newborn``)."""
_ATTEMPTS = 20
"""Where a file can be seen before it is locked it may be taken for abandoned, and removed; then it is made again."""
_PAUSE_S = 0.005
"""Before it is: whoever found it has to be done with it."""


class Presence:
    """A file that is locked by this process. Made by ``take`` and ``make``."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Presence | None:
        """Lock the file at ``path``; None when somebody else has it locked.

        Raises:
            OSError: It cannot be opened or locked; FileNotFoundError when it is not there and is not to be made.
            StorageError: It is no regular file.
        """
        from filelock import lock_descriptor  # see load_locks

        fd = open_private(path, os.O_RDWR | (os.O_CREAT if create else 0))
        try:
            locked = lock_descriptor(fd, blocking=False)
        except BaseException:
            os.close(fd)
            raise
        if not locked:
            os.close(fd)
            return None
        return cls(path, fd)

    @classmethod
    def make(cls, path: Path, about: Mapping[str, object] | None = None) -> Presence:
        """Make a file that nobody else knows, and lock it. Others never see it unlocked, but on Windows.

        Raises:
            OSError: It cannot be made.
            StorageError: Somebody else keeps it locked.
        """
        if os.name != "posix":  # Windows renames nothing that is open
            return cls._make_in_place(path, about)
        presence = cls._locked(path.with_name(f"{path.name}.{secrets.token_hex(4)}{NEWBORN}"), about)
        if presence is None:  # taken for what a dead process left behind
            raise StorageError(f"{path} is locked by somebody else.")
        try:
            os.rename(presence.path, path)  # the lock is on the file, whatever its name
        except BaseException:
            presence.remove()
            raise
        presence.path = path
        return presence

    @classmethod
    def _make_in_place(cls, path: Path, about: Mapping[str, object] | None) -> Presence:
        for _ in range(_ATTEMPTS):
            presence = cls._locked(path, about)
            if presence is not None:
                return presence
            time.sleep(_PAUSE_S)
        raise StorageError(f"{path} is locked by somebody else.")

    @classmethod
    def _locked(cls, path: Path, about: Mapping[str, object] | None) -> Presence | None:
        presence = cls.take(path)
        if presence is not None and about is not None:
            presence.write(about)
        return presence

    @property
    def was_abandoned(self) -> bool:
        """Whether somebody wrote into it before and did not ``release`` it, but died."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return os.read(self._fd, 1) == _IN_USE

    @property
    def touched_s(self) -> float:
        """When it was made, written or touched, on the file system's clock."""
        return os.fstat(self._fd).st_mtime

    def touch(self) -> None:
        """Show that its process does not only live, but runs."""
        with suppress(OSError):
            os.utime(self._fd if os.utime in os.supports_fd else self.path)

    def write(self, about: Mapping[str, object]) -> None:
        """Say who this is. On a full disk it stays untold."""
        self._overwrite(_IN_USE + json.dumps(about).encode()[: MOST_BYTES - 2] + b"\n")

    def release(self) -> None:
        """Let go of the file in peace."""
        self._overwrite(_RELEASED)
        os.close(self._fd)

    def remove(self) -> None:
        """Let go of the file, and remove it. Nobody else may be waiting for its lock."""
        if os.name == "posix":  # while it is still locked, so that nobody takes it for abandoned
            try:
                self._unlink()
            finally:
                os.close(self._fd)
        else:  # Windows removes nothing that is open
            os.close(self._fd)
            self._unlink()

    def abandon(self) -> None:
        """Let go of the file as a process does that dies."""
        os.close(self._fd)

    def _overwrite(self, data: bytes) -> None:
        # Never truncated: closing a file that was, and then written, makes some file systems wait for the disk.
        with suppress(OSError):
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, data)

    def _unlink(self) -> None:
        with suppress(FileNotFoundError, PermissionError):
            self.path.unlink()


def load_locks() -> None:
    """Import what locks, which takes 70 ms the first time: a start without any sound does not pay for it."""
    import filelock as filelock


def clear_newborn(folder: Path) -> None:
    """Remove what processes left behind that were killed in the moment in which they made a file.

    Raises:
        OSError: The folder cannot be listed, or one of them cannot be opened.
    """
    for path in folder.glob(f"*{NEWBORN}"):
        is_present(path)


def is_present(path: Path) -> bool:
    """Whether the process behind a file lives; the file of one that does not is removed.

    Raises:
        OSError: It cannot be told.
    """
    try:
        abandoned = Presence.take(path, create=False)
    except FileNotFoundError:
        return False
    if abandoned is None:
        return True
    abandoned.remove()
    return False


def is_locked(path: Path) -> bool:
    """Whether the process behind a file lives; the file stays as it is.

    Raises:
        OSError: It cannot be told.
    """
    try:
        abandoned = Presence.take(path, create=False)
    except FileNotFoundError:
        return False
    if abandoned is None:
        return True
    abandoned.abandon()
    return False


def read_about(path: Path) -> dict[str, object]:
    """What a file says about its process; empty when it says nothing, or is gone."""
    try:
        fd = open_private(path, os.O_RDONLY)
        try:
            os.lseek(fd, 1, os.SEEK_SET)
            about = json.loads(os.read(fd, MOST_BYTES).partition(b"\n")[0] or b"{}")
        finally:
            os.close(fd)
    except (OSError, StorageError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
