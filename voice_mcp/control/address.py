"""Where the doors are: a file for each in one folder, which only its owner can look into."""

from __future__ import annotations

import json
import os
import socket
from typing import NamedTuple

RUN_FOLDER = "run"
"""The folder of the doors, below the data root."""
SOCKET_ENDING, POINTER_ENDING = ".sock", ".door"
MOST_POINTER_BYTES = 4096
LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """How to reach one door."""

    pid: int
    """The process, as it calls itself: another container may have one of the same number."""
    file: str
    """What tells of the door: its socket, or a file that says where it is."""
    path: str = ""
    """The socket; empty when it is a port."""
    port: int = 0
    """A port of this machine, where there are no such sockets."""
    token: str = ""
    """What has to be said there, since anybody can connect."""

    def is_gone(self) -> bool:
        """Whether its process is no more: a door that nobody answers may belong to one that is only busy."""
        return not _is_alive(self.pid)

    def remove(self) -> None:
        """Clear away what a process left behind that could not do it itself."""
        for path in dict.fromkeys(filter(None, (self.path, self.file))):
            try:
                os.unlink(path)
            except OSError:  # somebody else was faster
                continue


def find_doors(folder: str) -> list[Address]:
    """Every door there is, also those of processes that are gone; none when there is no such folder."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = (_address(os.path.join(folder, name), name) for name in names)
    return [address for address in found if address is not None]


def reach(address: Address) -> socket.socket:
    """A socket on its way to the door; it never waits.

    Raises:
        BlockingIOError: More knock there than fit in front of it: try again.
        OSError: Nobody is there.
    """
    family = socket.AF_INET if address.port else socket.AF_UNIX
    knocking = socket.socket(family, socket.SOCK_STREAM)
    try:
        knocking.setblocking(False)
        knocking.connect((LOOPBACK, address.port) if address.port else address.path)
    except BlockingIOError:
        if not address.port:  # a port says so and goes on connecting; a socket of this kind has not begun
            knocking.close()
            raise
    except BaseException:
        knocking.close()
        raise
    return knocking


def remove_dead(folder: str) -> None:
    """Clear away the doors of processes that were killed."""
    for address in find_doors(folder):
        if address.is_gone() and _refuses(address):
            address.remove()


def _address(file: str, name: str) -> Address | None:
    """The door a file tells of; None when it tells of none."""
    stem, ending = os.path.splitext(name)
    number = stem.partition("-")[0]
    if not (number.isascii() and number.isdigit()) or len(number) > 10:
        return None
    if ending == SOCKET_ENDING:
        return Address(int(number), file, path=file)
    return _pointed_at(int(number), file) if ending == POINTER_ENDING else None


def _pointed_at(pid: int, file: str) -> Address | None:
    try:
        with open(file, "rb") as pointer:
            told = json.loads(pointer.read(MOST_POINTER_BYTES))
        return Address(pid, file, str(told.get("path", "")), int(told.get("port", 0)), str(told.get("token", "")))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):  # half of it, or none of ours
        return None


def _refuses(address: Address) -> bool:
    """Whether nobody listens there, for sure."""
    try:
        reach(address).close()
    except BlockingIOError:
        return False
    except OSError:
        return True
    return bool(address.port)  # its process is gone, and whoever has the port now is somebody else


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    """There ``os.kill`` kills, whatever the signal."""
    import ctypes

    synchronize, access_denied, still_running = 0x00100000, 5, 0x102
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == access_denied)  # type: ignore[attr-defined, unused-ignore]
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_running)
    finally:
        kernel.CloseHandle(handle)
