"""Who is at the other end of a socket, as the kernel says."""

from __future__ import annotations

import os
import socket
import struct
import sys

_MACOS_PEERCRED = 0x001
_MACOS_SOL_LOCAL = 0
_MACOS_XUCRED = struct.Struct("=IIhh16I")
"""Version, user, number of groups, padding, groups."""
_LINUX_UCRED = struct.Struct("=iII")
"""Process, user, group."""


def is_own(connection: socket.socket) -> bool:
    """Whether whoever is there is this user, or root, who could do anything anyway.

    Where the kernel does not say, the folder and the socket are all that keeps others out: 0700 and 0600.
    """
    uid = peer_uid(connection)
    return uid is None or uid in (os.geteuid(), 0)


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a Unix socket; None where the kernel does not say."""
    if hasattr(socket, "SO_PEERCRED"):
        size = _LINUX_UCRED.size
        _, uid, _ = _LINUX_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return int(uid)
    if sys.platform == "darwin":
        size = _MACOS_XUCRED.size
        told = connection.getsockopt(_MACOS_SOL_LOCAL, getattr(socket, "LOCAL_PEERCRED", _MACOS_PEERCRED), size)
        return int(_MACOS_XUCRED.unpack(told)[1])
    return None
