"""VOICEMODE_OFFLINE, enforced in the process: no name is looked up, and no socket reaches beyond this machine.

``refuse_the_network`` closes the door for the rest of the process's life. Python's own audit events are the wall: they
come from the interpreter, for every library, and cannot be taken away again. What they come too late for stands in
front of them: ``socket.connect`` and its like look up a name before they are audited, and asyncio on Windows connects
without being audited at all. Native libraries that open sockets of their own are out of reach of either.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

LOCAL_NAME = "localhost"
"""The only name that is this machine everywhere. Source: RFC 6761, section 6.3."""
INTERNET = (socket.AF_INET, socket.AF_INET6)
WITHOUT_NETWORK = tuple(getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name))
"""Families of sockets that end on this machine: other processes, and the kernel."""

_ADDRESS_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
"""Audit events of a socket and an address. Source: Python, "Audit events table"."""
_NAME_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
"""Audit events that begin with a name to be looked up."""
_LEAST_ARGUMENTS = {"connect": 1, "connect_ex": 1, "sendto": 2, "sendmsg": 4, "bind": 1}
"""Methods that look up a name before they are audited, and with how many arguments the last one is an address."""


class LeavesThisMachine(PermissionError):
    """Something in this process wanted to reach another machine, and was refused."""

    def __init__(self, whom: object) -> None:
        super().__init__(errno.EACCES, f"VOICEMODE_OFFLINE=true: {whom!r} is not this machine")


def is_this_machine(host: str) -> bool:
    """Whether a host, as a URL or a socket names it, is this machine for certain: nobody has to be asked who it is."""
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == LOCAL_NAME
    inner = getattr(address, "ipv4_mapped", None)
    return bool((inner or address).is_loopback)


def refuse_the_network() -> None:
    """From here on nothing in this process reaches another machine. Cannot be undone; a second call changes nothing."""
    if getattr(socket.socket.connect, "guarded", False):
        return
    for name, least in _LEAST_ARGUMENTS.items():
        if (method := getattr(socket.socket, name, None)) is not None:  # Windows has no sendmsg
            setattr(socket.socket, name, _guarded(method, least))
    _guard_windows()
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Called by the interpreter for all that it audits, in whatever thread: quick where it is none of our business."""
    if not event.startswith("socket."):
        return
    if event in _ADDRESS_EVENTS:
        _check(arguments[0].family, arguments[1])
    elif event in _NAME_EVENTS:
        _check_name(arguments[0])
    elif event == "socket.getnameinfo":
        _check_name(arguments[0][0])


def _check(family: int, address: object) -> None:
    """See that an address is on this machine.

    Raises:
        LeavesThisMachine: It is not, or nobody can tell.
    """
    if family in WITHOUT_NETWORK or address is None:  # None: a message on a socket whose address was checked before
        return
    if family not in INTERNET or not isinstance(address, tuple):
        raise LeavesThisMachine(address)
    _check_name(address[0])


def _check_name(host: object) -> None:
    if isinstance(host, bytes | bytearray):
        host = host.decode("latin-1")
    # No host is what a listener asks for that wants every address; a name nobody has leaves the machine to be found.
    if host is not None and not (isinstance(host, str) and is_this_machine(host)):
        raise LeavesThisMachine(host)


def _guarded(method: Callable[..., Any], least_arguments: int) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if len(arguments) >= least_arguments:
            _check(self.family, arguments[-1])
        return method(self, *arguments)

    guarded.guarded = True  # type: ignore[attr-defined]
    return guarded


def _guard_windows() -> None:
    """On Windows asyncio hands its connections to the system without ``socket.connect``."""
    if sys.platform != "win32":
        return
    proactor: Any = import_module("asyncio.windows_events").IocpProactor
    connect, sendto = proactor.connect, proactor.sendto

    def guarded_connect(self: Any, conn: socket.socket, address: Any) -> Any:
        _check(conn.family, address)
        return connect(self, conn, address)

    def guarded_sendto(self: Any, conn: socket.socket, buf: Any, flags: int = 0, addr: Any = None) -> Any:
        _check(conn.family, addr)
        return sendto(self, conn, buf, flags, addr)

    proactor.connect, proactor.sendto = guarded_connect, guarded_sendto
