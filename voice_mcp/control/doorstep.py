"""A socket that listens, and the file that tells of it. Works with the disk: not for the event loop's thread."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import tempfile
from typing import NamedTuple

from voice_mcp.control.address import LOOPBACK, POINTER_ENDING, SOCKET_ENDING, Address, reach

MOST_PATH_BYTES = 103
"""How long a socket's path may be: 104 on macOS, 108 on Linux, with the zero at its end."""
MOST_ROOT_BYTES = 60
"""How long the path of the folder for temporary files may be: macOS has one of 49 bytes."""
QUEUE = 512
"""How many may knock at once; the kernel may allow fewer."""


class Doorstep(NamedTuple):
    """An open door: what listens, and how it is reached."""

    listening: socket.socket
    address: Address

    def close(self) -> None:
        """Nobody listens any more, and nothing tells of it."""
        self.listening.close()
        self.address.remove()


def open_door(folder: str) -> Doorstep:
    """Open this process's door. ``folder`` is there, and private.

    Raises:
        OSError: It cannot be opened.
    """
    return open_socket(folder) if hasattr(socket, "AF_UNIX") else open_port(folder)


def open_socket(folder: str) -> Doorstep:
    """A Unix socket in ``folder``; where its path would be too long, or the disk knows no sockets, in a short one.

    Raises:
        OSError: It cannot be opened.
    """
    name = _free_name(folder)
    path = os.path.join(folder, name + SOCKET_ENDING)
    if len(os.fsencode(path)) <= MOST_PATH_BYTES:
        try:
            return Doorstep(_listen(path), Address(os.getpid(), path, path=path))
        except OSError:  # a network's disk, or one of Windows, holds no sockets
            pass
    path = os.path.join(_short_folder(), f"{os.getpid()}-{secrets.token_hex(4)}{SOCKET_ENDING}")
    listening = _listen(path)
    return _pointed_at(listening, folder, name, Address(os.getpid(), "", path=path))


def open_port(folder: str) -> Doorstep:
    """A port of this machine, for systems without such sockets. Anybody can connect, so a token has to be said.

    Raises:
        OSError: It cannot be opened.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # or another program could listen there too
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listening.bind((LOOPBACK, 0))
        listening.listen(QUEUE)
        port = listening.getsockname()[1]
    except BaseException:
        listening.close()
        raise
    address = Address(os.getpid(), "", port=port, token=secrets.token_hex(32))
    return _pointed_at(listening, folder, _free_name(folder), address)


def _listen(path: str) -> socket.socket:
    """Whoever sees the socket can connect: it gets its name only once it listens."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unfinished = f"{path[: -len(SOCKET_ENDING)]}.new"
    try:
        _remove(unfinished)
        listening.bind(unfinished)
        os.chmod(unfinished, stat.S_IRUSR | stat.S_IWUSR)
        listening.listen(QUEUE)
        os.replace(unfinished, path)
    except BaseException:
        listening.close()
        _remove(unfinished)
        raise
    return listening


def _pointed_at(listening: socket.socket, folder: str, name: str, address: Address) -> Doorstep:
    """The same, with a file that tells of it."""
    file = os.path.join(folder, name + POINTER_ENDING)
    told = {"path": address.path} if address.path else {"port": address.port, "token": address.token}
    unfinished = f"{file}.new"
    try:
        _remove(unfinished)
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(fd, "w", encoding="utf-8") as pointer:
            json.dump(told, pointer)
        os.replace(unfinished, file)
    except BaseException:
        listening.close()
        _remove(unfinished)
        if address.path:
            _remove(address.path)
        raise
    return Doorstep(listening, address._replace(file=file))


def _free_name(folder: str) -> str:
    """This process's number, unless a living process of another container, with the same one, is there already."""
    name = str(os.getpid())
    for ending in (SOCKET_ENDING, POINTER_ENDING):
        path = os.path.join(folder, name + ending)
        if os.path.exists(path) and (ending == POINTER_ENDING or _is_open(path)):
            return f"{name}-{secrets.token_hex(4)}"
    return name


def _is_open(path: str) -> bool:
    try:
        reach(Address(0, path, path=path)).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _short_folder() -> str:
    """A folder of this user's with a short name, for nobody else to look into.

    Raises:
        OSError: There can be none.
    """
    root = tempfile.gettempdir()
    if len(os.fsencode(root)) > MOST_ROOT_BYTES:
        root = "/tmp"
    folder = os.path.join(root, f"voice-mcp-{os.getuid()}")
    try:
        os.mkdir(folder, stat.S_IRWXU)
    except FileExistsError:
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else") from None
        os.chmod(folder, stat.S_IRWXU)
    return folder


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
