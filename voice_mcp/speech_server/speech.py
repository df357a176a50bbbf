"""``POST /v1/audio/speech``: one request from its first byte to its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from voice_mcp.errors import VoiceError
from voice_mcp.protocols import SpeechEngine
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.errors import ApiError
from voice_mcp.speech_server.gate import Gate
from voice_mcp.speech_server.orders import MEDIA_TYPES, Order, read_order
from voice_mcp.speech_server.synthesis import synthesise
from voice_mcp.speech_server.voices import voice_for
from voice_mcp.types import SpeechRequest

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 64 * 1024
"""Room for the longest input with every character escaped."""
BODY_S = 20.0
"""How long a request may take to arrive."""
JSON_TYPE = "application/json"


class _ClientStalled(Exception):
    """The client takes nothing any more."""


class SpeechEndpoint:
    """The ASGI application behind the route.

    Args:
        engines: Who can speak.
        gate: Who may speak now.
        client_stall_s: A client that takes nothing for so long loses its turn to those who wait.
    """

    def __init__(self, engines: Engines, gate: Gate, *, client_stall_s: float) -> None:
        self._engines = engines
        self._gate = gate
        self._client_stall_s = client_stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            order = read_order(await _body(Request(scope, receive)))
        except ClientDisconnect:
            return
        engine = self._engines.of(order.model)
        await _while_connected(receive, self._answer(engine, await _request_for(engine, order), order.format, send))

    async def _answer(self, engine: SpeechEngine, request: SpeechRequest, format: str, send: Send) -> None:
        """Speak when it is our turn.

        Raises:
            ApiError: Too many wait.
            VoiceError: It failed before the first byte, so that it can still be told.
        """
        speech = synthesise(engine, request, format, self._engines.make_marker)
        async with self._gate.turn(), aclosing(speech) as pieces:
            first = await anext(pieces, b"")
            try:
                await self._give(send, _start(format))
                await self._give(send, _body_part(first))
                async for piece in pieces:
                    await self._give(send, _body_part(piece))
            except (VoiceError, _ClientStalled) as exc:
                # No proper end: the server closes the connection, and the client can tell that something is missing.
                logger.warning("An answer was broken off: %s", exc)
                return
            await send({"type": "http.response.body", "body": b""})

    async def _give(self, send: Send, message: Message) -> None:
        """Hand over a part of the answer; waits until most of what went before has been taken."""
        try:
            async with asyncio.timeout(self._client_stall_s):
                await send(message)
        except TimeoutError as exc:
            raise _ClientStalled(f"its client took nothing for {self._client_stall_s:g} s.") from exc


async def _request_for(engine: SpeechEngine, order: Order) -> SpeechRequest:
    voice = await voice_for(engine, order.voice)
    return SpeechRequest(order.text, voice, order.speed, order.instructions)


async def _body(request: Request) -> bytes:
    """The body, if it is small enough and calls itself JSON.

    A web page may send other types to any address without asking; JSON it may not.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != JSON_TYPE:
        raise ApiError(f"Send the request as Content-Type: {JSON_TYPE}.", status=415, code="unsupported_content_type")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for data in request.stream():
                body += data
                if len(body) > MOST_BODY_BYTES:
                    message = f"The request is larger than {MOST_BODY_BYTES} bytes."
                    raise ApiError(message, status=413, code="request_too_large")
    except TimeoutError as exc:
        raise ApiError("The request took too long to arrive.", status=408, code="request_timeout") from exc
    return bytes(body)


async def _while_connected(receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Answer; stop when the client leaves."""
    working = asyncio.create_task(answer)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(format: str) -> Message:
    headers = [(b"content-type", MEDIA_TYPES[format].encode()), (b"cache-control", b"no-store")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _body_part(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}
