"""A bad network on this machine: a TCP proxy that passes each byte on when it is due, and breaks when told to.

    client ─▶ Network ─▶ server            with SpeechEndpoint() as endpoint, Network(endpoint.port, HOTEL) as network:
           ◀─ weather ─◀                       ...  # speak to network.base_url

It runs in a thread of its own, on a schedule against the monotonic clock (``weather.Line``): a late wake-up delays one
block and is not carried on to the next. It knows nothing of HTTP: what a client sends after it was answered is the next
request, and what comes back until then is its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK
from tests.support.weather import LAN, SEGMENT_BYTES, Fault, FaultKind, Line, Profile

THREAD_TIMEOUT_S = 10.0
IN_FLIGHT_BYTES = 1 << 16
"""Most that is on its way at a time; then the server is not read, as with a TCP window that is full."""


@dataclass(slots=True)
class Passage:
    """What became of one answer on its way. Moments are ``perf_counter()`` seconds."""

    number: int
    """Counted from 0, over all connections."""
    connection: int
    """Counted from 0."""
    asked_s: float
    """When the first byte of the request came."""
    line: Line = field(repr=False)
    faults: list[Fault] = field(default_factory=list, repr=False)
    """Those still to come."""
    first_byte_s: float | None = None
    """When the first byte was passed on."""
    last_byte_s: float | None = None
    passed_bytes: int = 0
    broken_s: float | None = None
    """When the first of its faults happened."""
    stalls_end_s: list[float] = field(default_factory=list)
    """When its outages were over."""


class Network:
    """Use it as a context manager; everything public may be called from any thread.

    Args:
        port: Where the server listens on this machine.
        profile: How the network is.
        seed: Another seed, another weather; with the same one, answer n has the same weather in every run.
        listener: Where clients come in; None: a port on the loopback address. It is closed in the end.
    """

    def __init__(
        self, port: int, profile: Profile = LAN, *, seed: int = 0, listener: socket.socket | None = None
    ) -> None:
        self._target_port = port
        self._profile = profile
        self._seed = seed
        self._listener = listener
        self._changed = threading.Condition()
        self._passages: list[Passage] = []
        self._since_change = itertools.count()
        self._connections = itertools.count()
        self._address: tuple[str, int] = ("", 0)
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._quit: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(THREAD_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._quit is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._quit.set)
        self._thread.join(THREAD_TIMEOUT_S)
        if self._thread.is_alive():
            raise RuntimeError("the network's thread did not end")

    def change(self, profile: Profile, *, seed: int | None = None) -> None:
        """Be like this for the requests from now on; faults and weather count from there."""
        with self._changed:
            self._profile = profile
            self._seed = self._seed if seed is None else seed
            self._since_change = itertools.count()

    @property
    def base_url(self) -> str:
        """What a client of a speech endpoint is given."""
        return f"http://{self._address[0]}:{self.port}/v1"

    @property
    def port(self) -> int:
        """Where clients come in."""
        return self._address[1]

    @property
    def passages(self) -> list[Passage]:
        """Every answer so far, in the order of the requests."""
        with self._changed:
            return list(self._passages)

    def wait_for_break(self, timeout_s: float) -> Passage:
        """Wait until a fault has happened; return the first answer it happened to.

        Raises:
            AssertionError: None did in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: any(p.broken_s is not None for p in self._passages), timeout_s):
                raise AssertionError(f"nothing broke within {timeout_s} s: {self._passages}")
            return next(passage for passage in self._passages if passage.broken_s is not None)

    # --- told by the connections, in the network's thread

    def begin(self, connection: int) -> Passage:
        """A request comes."""
        now_s = time.perf_counter()
        with self._changed:
            nth = next(self._since_change)
            line = Line(self._profile, self._seed + nth, now_s)
            due = [fault for fault in self._profile.faults if fault.answers is None or nth < fault.answers]
            faults = sorted(due, key=lambda fault: fault.after_bytes)
            passage = Passage(len(self._passages), connection, now_s, line, faults)
            self._passages.append(passage)
            return passage

    def tell(self) -> None:
        """Something happened to an answer."""
        with self._changed:
            self._changed.notify_all()

    # --- the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:
            if self._ready.done():
                raise
            self._ready.set_exception(exc)

    async def _main(self) -> None:
        self._loop, self._quit = asyncio.get_running_loop(), asyncio.Event()
        listener = self._listener or socket.create_server((LOOPBACK, 0))
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            way = _Way(self, next(self._connections), reader, writer)
            task = asyncio.create_task(way.serve(self._target_port))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            # One that is cancelled before its first step, or as it connects, closes nothing by itself.
            task.add_done_callback(lambda _: writer.close())

        server = await asyncio.start_server(accept, sock=listener)
        self._address = listener.getsockname()[:2]
        self._ready.set_result(None)
        await self._quit.wait()
        server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


class _Way:
    """One connection, and its twin to the server."""

    def __init__(
        self, network: Network, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._network = network
        self._number = number
        self._client = reader, writer
        self._passage: Passage | None = None
        self._segments: asyncio.Queue[tuple[Passage, float, bytes] | None] = asyncio.Queue(
            IN_FLIGHT_BYTES // SEGMENT_BYTES
        )
        self._silent = False

    async def serve(self, port: int) -> None:
        """Pass on what comes, both ways, until one side is done."""
        client_writer = self._client[1]
        try:
            server_reader, server_writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            client_writer.transport.abort()
            return
        for writer in (client_writer, server_writer):
            # What drain() lets pass is with the kernel: a client that does not read is felt by the server.
            writer.transport.set_write_buffer_limits(high=0)
            # A network passes on what comes; it is ends of connections that collect.
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tasks = [
            asyncio.create_task(self._upwards(server_writer)),
            asyncio.create_task(self._collect(server_reader)),
            asyncio.create_task(self._downwards()),
        ]
        try:
            # The client's end ends all, and so does the last of what the server sent.
            await asyncio.wait((tasks[0], tasks[2]), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            server_writer.close()  # before anything is waited for: this task may be cancelled as it waits
            # A client that leaves in the middle is how half of the tests end.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _upwards(self, server: asyncio.StreamWriter) -> None:
        reader = self._client[0]
        while data := await reader.read(1 << 16):
            if self._passage is None or self._passage.first_byte_s is not None:
                first = self._passage is None
                self._passage = self._network.begin(self._number)
                rtt_s = self._passage.line.profile.rtt_s
                # A handshake takes a round trip before the request can leave; here it took none.
                await asyncio.sleep(rtt_s / 2 + (rtt_s if first else 0.0))
            if not self._silent:
                server.write(data)
                await server.drain()

    async def _collect(self, server: asyncio.StreamReader) -> None:
        """Give every segment its moment, and stop reading while too much is on its way."""
        with contextlib.suppress(ConnectionError):  # a server that breaks off has sent its last, as one that closes
            while data := await server.read(SEGMENT_BYTES):
                if self._passage is not None:
                    due_s = self._passage.line.due_s(time.perf_counter(), len(data))
                    await self._segments.put((self._passage, due_s, data))
        await self._segments.put(None)

    async def _downwards(self) -> None:
        while (segment := await self._segments.get()) is not None:
            passage, due_s, data = segment
            await _sleep_until(due_s)
            for part, fault in _split(passage, data):
                await self._pass_on(passage, part)
                if fault is not None:
                    await self._break(passage, fault)

    async def _pass_on(self, passage: Passage, data: bytes) -> None:
        if not data:
            return
        writer = self._client[1]
        writer.write(data)
        passage.last_byte_s = time.perf_counter()
        if passage.first_byte_s is None:
            passage.first_byte_s = passage.last_byte_s
        passage.passed_bytes += len(data)
        self._network.tell()
        await writer.drain()

    async def _break(self, passage: Passage, fault: Fault) -> None:
        passage.broken_s = passage.broken_s or time.perf_counter()
        self._network.tell()
        if fault.kind is FaultKind.OUTAGE:
            await asyncio.sleep(fault.duration_s)
            passage.stalls_end_s.append(time.perf_counter())
        elif fault.kind is FaultKind.RESET:
            _reset(self._client[1])
            raise ConnectionResetError
        else:
            self._silent = True
            await asyncio.sleep(math.inf)


def _split(passage: Passage, data: bytes) -> Iterator[tuple[bytes, Fault | None]]:
    """The segment in pieces, each with the fault that comes after it."""
    done = 0
    while passage.faults and passage.faults[0].after_bytes <= passage.passed_bytes + len(data) - done:
        fault = passage.faults.pop(0)
        size = max(0, fault.after_bytes - passage.passed_bytes)
        yield data[done : done + size], fault
        done += size
    yield data[done:], None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection: the client gets a reset in place of an end."""
    shape = "hh" if sys.platform == "win32" else "ii"
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(shape, 1, 0))
    writer.transport.abort()


async def _sleep_until(moment_s: float) -> None:
    wait_s = moment_s - time.perf_counter()
    if wait_s > 0:
        await asyncio.sleep(wait_s)
