"""Addresses where things go wrong: nobody there, or somebody who never says a word."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"


def unused_port() -> int:
    """A TCP port nobody listens on at this moment; for something that is about to listen there itself."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """A TCP port that refuses connections, kept from everybody else for as long as the block lasts."""
    # Bound and not listening: the kernel refuses at once, and nobody else can be given the port meanwhile.
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


@contextmanager
def silent_port() -> Iterator[int]:
    """A TCP port that takes connections and whatever is sent, and never answers a byte."""
    # The kernel completes the handshakes of a listening socket by itself; nobody ever accepts them here.
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(16)
        yield listener.getsockname()[1]
