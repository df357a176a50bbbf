"""Carries out a ``Behaviour`` on a connection, byte by byte where it has to."""

from __future__ import annotations

import asyncio
import http
import time
from collections.abc import Callable, Iterator

from tests.support.behaviour import Behaviour, Framing
from tests.support.exchange import Exchange, Outcome
from tests.support.wav import wav
from tests.support.wire import Connection

UNPACED_BLOCK_BYTES = 1 << 14
MOST_PAUSE_S = 600.0
"""No answer stands still for longer, whatever it was told."""


class Answer:
    """One answer on its way.

    Args:
        connection: Where it goes.
        exchange: The request; told what happens.
        behaviour: How to answer.
        gate: Lets stalled answers go on, one for each time it is released.
        changed: Called after every change of ``exchange``.
    """

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        behaviour: Behaviour,
        gate: asyncio.Semaphore,
        changed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._how = behaviour
        self._gate = gate
        self._changed = changed

    async def send(self) -> bool:
        """Send it; True when the connection can take another request.

        Raises:
            ClientLeft: The client did not wait for the end.
        """
        how = self._how
        if how.never_answer:
            await self._connection.pause(MOST_PAUSE_S)
            return False
        if how.raw is not None:
            await self._send_head(how.raw)
            self._end(Outcome.CUT)
            return False
        body, content_type = _body(how, self._exchange)
        self._exchange.audio = body
        await self._send_head(_head(how, content_type, len(body)))
        await self._connection.pause(how.first_byte_delay_s)
        if await self._send_body(body):
            await self._cut()
            return False
        while how.endless:
            await self._send_block(body)
        if how.framing is Framing.CHUNKED:
            await self._connection.write(b"0\r\n\r\n")
        self._end(Outcome.CUT if how.short_body_bytes else Outcome.COMPLETE)
        return how.keep_alive and how.framing is not Framing.CLOSE and not how.short_body_bytes

    async def _send_head(self, head: bytes) -> None:
        self._exchange.head_s = time.perf_counter()
        self._changed()
        duration_s = self._how.slow_headers_s
        if not duration_s:
            await self._connection.write(head)
            return
        start_s = asyncio.get_running_loop().time()
        for index in range(len(head)):
            await self._sleep_until(start_s + duration_s * index / len(head))
            await self._connection.write(head[index : index + 1])

    async def _send_body(self, body: bytes) -> bool:
        """Send the body in its blocks; True when it is to be cut here."""
        how = self._how
        start_s = asyncio.get_running_loop().time()
        for begin, end in _blocks(how, len(body)):
            if begin == how.stall_after_bytes:
                start_s += await self._stall()
            if begin == how.cut_after_bytes:
                return True
            if how.pace is not None:
                await self._sleep_until(start_s + begin / (how.pace * how.bytes_per_second))
            await self._send_block(body[begin:end])
        if how.stall_after_bytes is not None and how.stall_after_bytes >= len(body):
            await self._stall()
        return how.cut_after_bytes is not None and how.cut_after_bytes >= len(body)

    async def _send_block(self, block: bytes) -> None:
        if self._exchange.first_byte_s is None:
            self._exchange.first_byte_s = time.perf_counter()
        await self._connection.write(_framed(self._how, block))
        self._exchange.sent_bytes += len(block)
        self._changed()

    async def _stall(self) -> float:
        """Stand still as told; return for how long, in seconds."""
        start_s = asyncio.get_running_loop().time()
        self._exchange.stalled = True
        self._changed()
        if self._how.stall_s is None:
            await self._connection.wait_for(self._gate)
        else:
            await self._connection.pause(self._how.stall_s)
        self._exchange.stalled = False
        self._changed()
        return asyncio.get_running_loop().time() - start_s

    async def _cut(self) -> None:
        self._end(Outcome.CUT)
        if not self._how.cut_cleanly:
            self._connection.reset()

    async def _sleep_until(self, moment_s: float) -> None:
        wait_s = moment_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await self._connection.pause(wait_s)

    def _end(self, outcome: Outcome) -> None:
        self._exchange.outcome = outcome
        self._exchange.ended_s = time.perf_counter()
        self._changed()


def _body(how: Behaviour, exchange: Exchange) -> tuple[bytes, str]:
    """What to send, and what to call it."""
    if how.body is not None:
        return how.body, how.content_type or "application/octet-stream"
    audio = how.audio if isinstance(how.audio, bytes) else how.audio(exchange.text)
    wants_wav = how.content_type is None and exchange.json.get("response_format") == "wav"
    if wants_wav:
        # As servers that stream do it: the length is not known when the header leaves.
        audio = wav(audio, data_size=0xFFFFFFFF)
    if how.odd_tail:
        audio += b"\x7f"
    return audio, how.content_type or ("audio/wav" if wants_wav else "audio/pcm")


def _head(how: Behaviour, content_type: str, size: int) -> bytes:
    headers = {"Content-Type": content_type}
    if how.framing is Framing.CHUNKED:
        headers["Transfer-Encoding"] = "chunked"
    elif how.framing is Framing.LENGTH:
        headers["Content-Length"] = str(size + how.short_body_bytes)
    if not how.keep_alive or how.framing is Framing.CLOSE:
        headers["Connection"] = "close"
    headers |= how.headers
    reason = http.HTTPStatus(how.status).phrase
    lines = [f"HTTP/1.1 {how.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _blocks(how: Behaviour, size: int) -> Iterator[tuple[int, int]]:
    """Where each block begins and ends; stalls and cuts fall between blocks."""
    step = UNPACED_BLOCK_BYTES
    if how.pace is not None:
        step = max(1, round(how.bytes_per_second * how.block_ms / 1000))
    edges = {*range(0, size, step), size}
    edges |= {edge for edge in (how.stall_after_bytes, how.cut_after_bytes) if edge is not None and edge < size}
    ordered = sorted(edges)
    return zip(ordered, ordered[1:], strict=False)


def _framed(how: Behaviour, block: bytes) -> bytes:
    if how.framing is not Framing.CHUNKED:
        return block
    size = 1 if how.one_byte_chunks else how.chunk_bytes or len(block)
    chunks = (block[begin : begin + size] for begin in range(0, len(block), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
