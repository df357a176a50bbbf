"""The service as a process: its sockets, its beginning and its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from voice_mcp.errors import InvalidInput, SettingsError
from voice_mcp.offline import LeavesThisMachine
from voice_mcp.speech_server.app import create_app
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.gate import Gate
from voice_mcp.speech_server.guard import is_loopback
from voice_mcp.speech_server.options import Options

KEEP_ALIVE_S = 75
"""How long an idle connection stays open; clients that pool connections drop theirs sooner, so that no request meets a
connection that is just being closed."""
LAST_WORDS_S = 0.5
"""How long the end waits for what was running to let go."""


class SpeechServer(uvicorn.Server):
    """A web server that ends when it is told to, whatever is running.

    Args:
        app: What is served.
        sockets: Where; already listening.
        on_ready: Called once, when it answers.
    """

    def __init__(
        self, app: ASGIApp, sockets: Sequence[socket.socket], on_ready: Callable[[SpeechServer], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.CRITICAL,  # what goes wrong is told by app.py, once and in our words
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=0,  # nobody who ends a voice wants to hear it out
            )
        )
        self._sockets = list(sockets)
        self._on_ready = on_ready
        host, port = self._sockets[0].getsockname()[:2]
        self.base_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        """What a client is given."""

    def stop(self) -> None:
        """End soon. Thread: that of the event loop, or a signal handler."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal again at the end; to end when asked to is no failure.
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(self)

    async def run_to_end(self) -> None:
        """Serve until ``stop`` or a signal."""
        await self.serve(self._sockets)
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=LAST_WORDS_S)


async def run_service(engines: Engines, options: Options, on_ready: Callable[[SpeechServer], None]) -> None:
    """Serve until a signal comes, and let go of everything.

    Raises:
        SettingsError: Other machines could reach it, and there is no token.
        InvalidInput: The host or port cannot be had.
        EngineError: The default engine cannot speak.
    """
    loopback = is_loopback(options.host)
    if not loopback and options.token is None:
        raise SettingsError(
            f"On {options.host} other machines could use the speech service, and there is no token.",
            hint="Set VOICEMODE_SPEECH_SERVER_TOKEN to a long random text, or leave out --host.",
        )
    sockets = listen(options.host, options.port)
    try:
        await engines.prepare()
        app = create_app(
            engines,
            Gate(options.concurrency, options.queue),
            token=options.token,
            loopback=loopback,
            client_stall_s=options.client_stall_s,
        )
        await SpeechServer(app, sockets, on_ready).run_to_end()
    finally:
        for listener in sockets:
            listener.close()
        await engines.aclose()


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host: ``localhost`` often has two.

    Raises:
        InvalidInput: It cannot be done.
    """
    listeners: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            # With port 0 the first address is given one, and the others take the same.
            taken = listeners[0].getsockname()[1] if listeners else port
            listeners.append(_as_tcp(socket.create_server((address, taken), family=family, backlog=128)))
    except (OSError, OverflowError) as exc:
        for listener in listeners:
            listener.close()
        raise _unavailable(host, port, exc) from exc
    return listeners


def _as_tcp(listener: socket.socket) -> socket.socket:
    """The same socket, which says that it is TCP: asyncio lets small blocks leave at once (TCP_NODELAY) only then.

    They would wait for one another otherwise, up to 40 ms, for every answer but the first of a connection.
    """
    return socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())


def _addresses(host: str, port: int) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _unavailable(host: str, port: int, exc: Exception) -> InvalidInput:
    if isinstance(exc, LeavesThisMachine):
        message = f"VOICEMODE_OFFLINE=true: {host} could be reached from other machines."
        return InvalidInput(message, hint="Leave out --host, or set VOICEMODE_OFFLINE=false.")
    number = exc.errno if isinstance(exc, OSError) else None
    if number == errno.EADDRINUSE:
        hint = "Stop what listens there (perhaps another speech service), or choose another --port."
        return InvalidInput(f"Port {port} of {host} is in use.", hint=hint)
    if number == errno.EACCES:
        return InvalidInput(f"Port {port} of {host} may not be used.", hint="Choose a --port above 1023.")
    reason = getattr(exc, "strerror", None) or exc
    return InvalidInput(f"{host}:{port} cannot be listened on: {reason}.", hint="Check --host and --port.")
