"""The server's side of one HTTP/1.1 connection: requests in, and a way out that knows when nobody is there any more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.exchange import Exchange

MOST_REQUEST_BYTES = 32 << 20
"""More than transcription services take."""


class ClientLeft(Exception):
    """The client closed its side, or the network broke."""


class BadRequest(Exception):
    """What came is not HTTP/1.1 as this server understands it."""


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    path: str
    headers: dict[str, str]


class Connection:
    """Reads all the time, so that it knows at once when the client leaves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        # What drain() lets pass is with the kernel, not in a buffer of ours: a slow client is felt at once. One byte is
        # as good as none, and TLS pauses for ever at a limit of none.
        writer.transport.set_write_buffer_limits(high=1)
        self._pump = asyncio.create_task(self._read())

    async def request(self) -> Exchange | None:
        """The next request, or None when the client is done.

        Raises:
            BadRequest: It cannot be understood.
        """
        head = await self._take_until(b"\r\n\r\n")
        if head is None:
            return None
        parsed = _parse(head)
        body = await self._take(int(parsed.headers.get("content-length", "0")))
        if body is None:
            return None
        return Exchange(self.number, parsed.method, parsed.path, parsed.headers, body, time.perf_counter())

    async def write(self, data: bytes) -> None:
        """Hand bytes to the network; wait until it has taken them.

        Raises:
            ClientLeft: There is nobody to take them.
        """
        if self._left.is_set():
            raise ClientLeft
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as exc:
            raise ClientLeft from exc

    async def pause(self, seconds: float | None) -> None:
        """Do nothing for a while, or for ever when None.

        Raises:
            ClientLeft: The client did not wait for the end of it.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), seconds)
            raise ClientLeft

    async def wait_for(self, event: asyncio.Semaphore) -> None:
        """Wait until the semaphore can be had.

        Raises:
            ClientLeft: The client did not wait for it.
        """
        waits = [asyncio.create_task(event.acquire()), asyncio.create_task(self._left.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not waits[0].done():
                raise ClientLeft
        finally:
            for wait in waits:
                wait.cancel()

    def reset(self) -> None:
        """Break the connection: the client gets a reset in place of an end."""
        shape = "hh" if sys.platform == "win32" else "ii"
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(shape, 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """Send what is left and end. May be called after ``reset``."""
        self._pump.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """End at once, whatever is left to send."""
        self._pump.cancel()
        # Early Pythons 3.11 forget their TLS when it is closed while it closes by itself, and then cannot abort it.
        with contextlib.suppress(AttributeError):
            self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(1 << 16):
                self._buffer += data
                self._arrived.set()
        except ConnectionError:
            return  # to everybody else this is the same as an end, told below
        finally:
            self._left.set()
            self._arrived.set()

    async def _take_until(self, mark: bytes) -> bytes | None:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > MOST_REQUEST_BYTES:
                raise BadRequest("the head does not end")
            if not await self._more():
                return None
        return await self._take(end + len(mark))

    async def _take(self, size: int) -> bytes | None:
        if size > MOST_REQUEST_BYTES:
            raise BadRequest("the body is too long")
        while len(self._buffer) < size:
            if not await self._more():
                return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _more(self) -> bool:
        """Wait for more bytes; False when none will come."""
        size = len(self._buffer)
        while len(self._buffer) == size:
            if self._left.is_set():
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True


def _parse(head: bytes) -> _Head:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    try:
        method, target, _ = first.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
    except ValueError as exc:
        raise BadRequest(first) from exc
    if "transfer-encoding" in headers:
        raise BadRequest("a chunked request body")
    # Clients name the whole address where they take this server for a proxy. Source: RFC 9112, section 3.2.2.
    path = target if target.startswith("/") else urlsplit(target).path
    return _Head(method, path, headers)
