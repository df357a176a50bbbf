"""Private files and folders: 0600 and 0700 whatever the umask, and no link followed out of the data root."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from voice_mcp.errors import StorageError

_ALWAYS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Translate what the operating system refuses: "``what``: No space left on device."."""
    try:
        yield
    except OSError as exc:
        raise StorageError(f"{what}: {exc.strerror or exc}.") from exc


def open_private(path: Path, flags: int) -> int:
    """Open a regular file that only its owner may read; returns its descriptor.

    Args:
        path: Where; its folder must be there.
        flags: As for ``os.open``; the last part of the path is never followed when it is a link.

    Raises:
        OSError: It cannot be opened.
        StorageError: It is no regular file.
    """
    fd = os.open(path, flags | _ALWAYS, _FILE_MODE)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise StorageError(f"{path} is not a regular file.", hint="Move it away, or set VOICEMODE_BASE_DIR.")
    if stat.S_IMODE(mode) != _FILE_MODE:
        _restrict(fd, _FILE_MODE)
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``: the system may take it in parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_whole(path: Path, data: bytes) -> None:
    """The file is there with all of ``data`` in it, or it is not there."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    fd = open_private(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_folder(root: Path, folder: Path) -> None:
    """Make ``root`` and, below it, ``folder``, each 0700.

    A root that is there already keeps its permissions: people point it at folders that serve other ends too.

    Raises:
        StorageError: It cannot be made, or a link leads out of the root.
    """
    with storage_errors(f"{folder} could not be made"):
        for missing in reversed(list(takewhile(lambda path: not path.exists(), (root, *root.parents)))):
            _make_one(missing)
        path = root
        for part in folder.relative_to(root).parts:
            path /= part
            _make_one(path)
            refuse_link_out(root, path)
            if stat.S_IMODE(path.stat().st_mode) != _FOLDER_MODE:
                _restrict(path, _FOLDER_MODE)


def list_folder(folder: Path) -> list[Path]:
    """What is in a folder, in no order; nothing when there is no such folder.

    Raises:
        StorageError: It cannot be listed.
    """
    with storage_errors(f"{folder} could not be listed"):
        try:
            return list(folder.iterdir())
        except FileNotFoundError:
            return []


def refuse_link_out(root: Path, path: Path) -> None:
    """Raise StorageError when ``path`` is a link that leads out of ``root``."""
    if is_link(path) and not path.resolve().is_relative_to(root.resolve()):
        raise StorageError(
            f"{path} is a link that leads out of the data folder.",
            hint="Remove the link, or set VOICEMODE_BASE_DIR to where the data shall be.",
        )


def refuse_way_out(root: Path, folder: Path) -> None:
    """Raise StorageError when a link on the way from ``root`` to ``folder`` leads out of it."""
    path = root
    for part in folder.relative_to(root).parts:
        path /= part
        refuse_link_out(root, path)


def is_link(path: Path) -> bool:
    """Whether ``path`` itself is a symbolic link or, on Windows, a junction."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    junction = _JUNCTION is not None and getattr(status, "st_reparse_tag", 0) == _JUNCTION
    return stat.S_ISLNK(status.st_mode) or junction


def _make_one(folder: Path) -> None:
    try:
        folder.mkdir(_FOLDER_MODE)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        _restrict(folder, _FOLDER_MODE)


def _restrict(target: Path | int, mode: int) -> None:
    """Set the permissions, past the umask; Windows has none of this kind.

    Refused for files of another user, and by file systems that know no permissions: there is nothing to set there, and
    the record matters more than its mode.
    """
    if os.name == "posix":
        with suppress(PermissionError):
            os.chmod(target, mode)
