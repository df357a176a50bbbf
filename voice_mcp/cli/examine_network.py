"""Whether VOICEMODE_OFFLINE holds: everything is tried that a library could try, and has to be refused."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

from voice_mcp.cli.report import Check, State
from voice_mcp.offline import LeavesThisMachine

NOBODY = "voice-mcp.invalid"
"""A name that can never belong to anybody. Source: RFC 2606, section 2."""
NOWHERE_V4, NOWHERE_V6 = "192.0.2.1", "2001:db8::1"
"""Addresses that lead nowhere. Source: RFC 5737, RFC 3849."""
PORT = 443


def check_offline(*, wanted: bool) -> list[Check]:
    """Try to leave this machine in every way there is, where that must not work."""
    if not wanted:
        return []
    ways: dict[str, Callable[[], object]] = {
        "looking up a name": lambda: socket.getaddrinfo(NOBODY, PORT),
        "connecting over IPv4": lambda: _reach(socket.AF_INET, socket.SOCK_STREAM, NOWHERE_V4),
        "connecting over IPv6": lambda: _reach(socket.AF_INET6, socket.SOCK_STREAM, NOWHERE_V6),
        "connecting by name": lambda: _reach(socket.AF_INET, socket.SOCK_STREAM, NOBODY),
        "sending a datagram": lambda: _reach(socket.AF_INET, socket.SOCK_DGRAM, NOWHERE_V4),
    }
    open_ways = [name for name, attempt in ways.items() if not _is_refused(attempt)]
    if open_ways:
        detail = f"VOICEMODE_OFFLINE=true, and yet this was let through: {', '.join(open_ways)}."
        return [Check("offline", State.BROKEN, detail, "Report it; until then keep the network off.")]
    return [Check("offline", State.OK, f"other machines cannot be reached; refused were {', '.join(ways)}")]


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except LeavesThisMachine:
        return True
    except OSError:  # the system's refusal: nobody is there, but we were let through to ask
        return False
    return False


def _reach(family: socket.AddressFamily, kind: socket.SocketKind, host: str) -> None:
    with closing(socket.socket(family, kind)) as one:
        one.setblocking(False)  # where it is let through, nobody waits for the answer
        if kind is socket.SOCK_DGRAM:
            one.sendto(b"", (host, PORT))
        else:
            one.connect((host, PORT))
