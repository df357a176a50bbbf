"""The door of a server process: it listens in the server's own event loop, and takes no more than a known word."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voice_mcp.control.address import remove_dead
from voice_mcp.control.doorstep import Doorstep, open_door
from voice_mcp.control.peer import is_own
from voice_mcp.control.words import MOST_REQUEST_BYTES, Word
from voice_mcp.protocols import Controls

logger = logging.getLogger(__name__)

EXCHANGE_S = 2.0
"""Longer than a server under load takes to answer; whoever says nothing is in the way no longer than this."""
AT_ONCE = 64
"""How many may be in the doorway; others wait outside, in the kernel's queue, and cost no descriptor."""
AGAIN_S = 0.5
"""When to look again after the system refused a connection: it has no descriptors left."""

FOREIGN = "This door is for its owner."
TOO_LONG = "The request is too long."
NOT_JSON = "The request is not a JSON object on one line."
NO_SUCH_WORD = "There is no such command; known are: " + ", ".join(Word) + "."
WRONG_TOKEN = "The token is wrong."
OUR_MISTAKE = "That failed because of a mistake in voice-mcp; its log on stderr has more."


class _Refused(Exception):
    """The request cannot be answered; says why."""


class Door:
    """Listens for key bindings.

    Args:
        folder: Where the doors are; it is there, and private.
        controls: What they can ask for.
        open_here: Opens it.
        exchange_s: How many seconds an exchange may take, from the connection to the answer's last byte.
    """

    def __init__(
        self,
        folder: Path,
        controls: Controls,
        open_here: Callable[[str], Doorstep] = open_door,
        exchange_s: float = EXCHANGE_S,
    ) -> None:
        self._folder = str(folder)
        self._controls = controls
        self._open_here = open_here
        self._exchange_s = exchange_s
        self._doorstep: Doorstep | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(AT_ONCE)
        self._inside: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether anybody can be heard."""
        return self._doorstep is not None

    async def open(self) -> None:
        """Open it; where that cannot be, say so in the log. A server without a door speaks as well as any other."""
        try:
            doorstep = await asyncio.to_thread(self._open)
        except OSError as exc:
            logger.warning("Key bindings do not reach this server: its door cannot be opened: %s.", exc.strerror or exc)
            return
        doorstep.listening.setblocking(False)
        self._doorstep = doorstep
        self._receiving = asyncio.create_task(self._receive(doorstep.listening), name="control-door")

    async def aclose(self) -> None:
        """Close it: nothing listens any more, and nothing tells of it."""
        tasks = [task for task in (self._receiving, *self._inside) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        doorstep, self._doorstep, self._receiving = self._doorstep, None, None
        if doorstep is not None:
            doorstep.close()

    def _open(self) -> Doorstep:
        remove_dead(self._folder)
        return self._open_here(self._folder)

    # --- who comes in ------------------------------------------------------------------------------------------

    async def _receive(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as exc:
                self._room.release()
                logger.warning("A key binding could not be heard: %s.", exc.strerror or exc)
                await asyncio.sleep(AGAIN_S)
                continue
            visit = asyncio.create_task(self._serve(connection), name="control-visit")
            self._inside.add(visit)
            visit.add_done_callback(self._leave)

    def _leave(self, visit: asyncio.Task[None]) -> None:
        self._inside.discard(visit)
        self._room.release()

    async def _serve(self, connection: socket.socket) -> None:
        """One request, one answer. Whoever is too slow or hangs up gets none."""
        loop = asyncio.get_running_loop()
        with connection:
            try:
                async with asyncio.timeout(self._exchange_s):
                    answer = await self._answer_to(connection)
                    await loop.sock_sendall(connection, json.dumps(answer).encode() + b"\n")
                    await _see_out(connection)
            except (OSError, TimeoutError) as exc:
                logger.debug("a control connection ended early: %r", exc)

    async def _answer_to(self, connection: socket.socket) -> Mapping[str, Any]:
        try:
            if connection.family != socket.AF_INET and not is_own(connection):
                raise _Refused(FOREIGN)
            word = self._understood(await _line(connection))
            return self._controls.status() if word is Word.STATUS else await self._obeyed(word)
        except _Refused as exc:
            return {"error": str(exc)}
        except Exception:
            logger.exception("a control command failed unexpectedly")
            return {"error": OUR_MISTAKE}

    def _understood(self, line: bytes) -> Word:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise _Refused(NOT_JSON) from exc
        if not isinstance(request, dict):
            raise _Refused(NOT_JSON)
        assert self._doorstep is not None
        token = self._doorstep.address.token
        if token and not hmac.compare_digest(token.encode(), str(request.get("token", "")).encode("utf-8", "replace")):
            raise _Refused(WRONG_TOKEN)
        word = request.get("word")
        if not isinstance(word, str) or word not in list(Word):
            raise _Refused(NO_SUCH_WORD)
        return Word(word)

    async def _obeyed(self, word: Word) -> Mapping[str, Any]:
        controls = self._controls
        answer = await {
            Word.DONE: controls.done,
            Word.STOP: controls.stop,
            Word.REPEAT: controls.repeat,
            Word.PAUSE: controls.pause,
            Word.RESUME: controls.resume,
            Word.SKIP: controls.skip,
            Word.HUSH: controls.hush,
        }[word]()
        return {"obeyed": answer.obeyed, "sentence": answer.sentence}


async def _see_out(connection: socket.socket) -> None:
    """Wait until the other side hangs up: what it still says would otherwise take the answer back."""
    loop = asyncio.get_running_loop()
    connection.shutdown(socket.SHUT_WR)
    while await loop.sock_recv(connection, 1 << 16):
        continue


async def _line(connection: socket.socket) -> bytes:
    """The request.

    Raises:
        _Refused: It is too long.
    """
    loop, line = asyncio.get_running_loop(), b""
    while b"\n" not in line:
        if len(line) > MOST_REQUEST_BYTES:
            raise _Refused(TOO_LONG)
        block = await loop.sock_recv(connection, MOST_REQUEST_BYTES + 1)
        if not block:
            break
        line += block
    return line
