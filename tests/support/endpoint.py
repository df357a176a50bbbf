"""A real OpenAI-compatible speech server on this machine, which can stall, truncate, lie and die when told to.

with SpeechEndpoint() as endpoint:
    endpoint.then(Behaviour.refusing(503), Behaviour(stall_after_bytes=9600))
    ...  # speak to endpoint.base_url
    endpoint.wait_until(lambda: endpoint.speech[1].stalled, 5)
    endpoint.release()

It listens as well: it hears what it is told to hear, and keeps what it was sent.

with SpeechEndpoint(hears="Yes, please.") as endpoint:
    endpoint.hear_next("No.", Behaviour(never_answer=True), after_s=0.2)
    ...  # be transcribed at endpoint.base_url
    assert endpoint.transcriptions[0].upload.frames == frames
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from tests.support.answering import Answer
from tests.support.behaviour import Behaviour
from tests.support.exchange import Exchange, Outcome
from tests.support.ports import LOOPBACK
from tests.support.wire import BadRequest, ClientLeft, Connection

THREAD_TIMEOUT_S = 10.0
SPEECH_PATH = "/v1/audio/speech"
TRANSCRIPTION_PATH = "/v1/audio/transcriptions"

Chooser = Callable[[Exchange], Behaviour]


class SpeechEndpoint:
    """Use it as a context manager; everything public may be called from any thread.

    Args:
        default: How requests for speech are answered when nothing else was said; or what decides that.
        listing: How requests for voices and models are answered; None: with ``voices`` and ``models``.
        api_key: The key without which it answers 401; None: it takes everybody.
        voices: The names of its voices.
        models: The names of its models.
        tls: Its certificate; None: it speaks plain HTTP.
        hears: What it makes of any sound, when nothing else was said.
    """

    def __init__(
        self,
        default: Behaviour | Chooser | None = None,
        *,
        listing: Behaviour | None = None,
        api_key: str | None = None,
        voices: Sequence[str] = ("alba", "bruno"),
        models: Sequence[str] = ("tts-1",),
        tls: ssl.SSLContext | None = None,
        hears: str = "Yes, please.",
    ) -> None:
        self._default = default or Behaviour()
        self._next: deque[Behaviour] = deque()
        self._hears: str | Behaviour = hears
        self._heard_next: deque[tuple[str | Behaviour, float]] = deque()
        self._listing = listing
        self._api_key = api_key
        self._listings = {
            "/v1/audio/voices": Behaviour.answering({"voices": list(voices)}),
            "/v1/models": Behaviour.answering(
                {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "here"} for name in models]}
            ),
        }
        self._changed = threading.Condition()
        self._exchanges: list[Exchange] = []
        self._connections = 0
        self._open = 0
        self._scheme = "http" if tls is None else "https"
        self._server = _ServerThread(self._serve, tls)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and the port; returns when the thread has ended."""
        self._server.stop()

    # --- what it does next

    def then(self, *behaviours: Behaviour) -> None:
        """Answer the next requests for speech like this, one each, before the default is used again."""
        with self._changed:
            self._next.extend(behaviours)

    def always(self, default: Behaviour | Chooser) -> None:
        """Answer requests for speech like this from now on."""
        with self._changed:
            self._default = default

    def hear_next(self, *what: str | Behaviour, after_s: float = 0.0) -> None:
        """Make this of the next sounds, one each, before what is usual is used again.

        Args:
            what: Words, in the shape that is asked for; or how to answer.
            after_s: Seconds until the words come.
        """
        with self._changed:
            self._heard_next.extend((each, after_s) for each in what)

    def always_hear(self, what: str | Behaviour) -> None:
        """Make this of every sound from now on."""
        with self._changed:
            self._hears = what

    def release(self, answers: int = 1) -> None:
        """Let this many answers that stall without a time go on, now or when they come to it."""
        self._server.release(answers)

    # --- what it saw

    @property
    def base_url(self) -> str:
        """What a client is given: ends in ``/v1``."""
        return f"{self._scheme}://{LOOPBACK}:{self.port}/v1"

    @property
    def host(self) -> str:
        """Host and port, as in the ``Host`` header."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The TCP port on the loopback address."""
        return self._server.port

    @property
    def requests(self) -> list[Exchange]:
        """Every request so far, in the order of arrival."""
        with self._changed:
            return list(self._exchanges)

    @property
    def speech(self) -> list[Exchange]:
        """The requests for speech so far."""
        return [exchange for exchange in self.requests if exchange.path == SPEECH_PATH]

    @property
    def transcriptions(self) -> list[Exchange]:
        """The requests for transcriptions so far."""
        return [exchange for exchange in self.requests if exchange.path == TRANSCRIPTION_PATH]

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        with self._changed:
            return self._connections

    @property
    def open_connections(self) -> int:
        """How many of them are open now."""
        with self._changed:
            return self._open

    def wait_until(self, predicate: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the predicate, which looks at this endpoint, is true.

        Raises:
            AssertionError: It was not in time.
        """
        with self._changed:
            if not self._changed.wait_for(predicate, timeout_s):
                raise AssertionError(f"the endpoint did not see it within {timeout_s} s: {self._exchanges}")

    def wait_for_speech(self, count: int, timeout_s: float) -> list[Exchange]:
        """Wait until ``count`` requests for speech have arrived; return them."""
        self.wait_until(lambda: len(self.speech) >= count, timeout_s)
        return self.speech

    def wait_for_transcriptions(self, count: int, timeout_s: float) -> list[Exchange]:
        """Wait until ``count`` requests for transcriptions have arrived; return them."""
        self.wait_until(lambda: len(self.transcriptions) >= count, timeout_s)
        return self.transcriptions

    # --- the thread

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Semaphore) -> None:
        with self._changed:
            self._connections += 1
            self._open += 1
            connection = Connection(reader, writer, self._connections)
            self._changed.notify_all()
        try:
            while (exchange := await connection.request()) is not None:
                if not await self._answer(connection, exchange, gate):
                    break
            await connection.close()
        except BadRequest:
            connection.reset()
        finally:
            connection.abort()
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    async def _answer(self, connection: Connection, exchange: Exchange, gate: asyncio.Semaphore) -> bool:
        with self._changed:
            self._exchanges.append(exchange)
            behaviour = self._behaviour(exchange)
            self._changed.notify_all()
        try:
            return await Answer(connection, exchange, behaviour, gate, self._notify).send()
        except ClientLeft:
            self._end(exchange, Outcome.CLIENT_LEFT)
            return False
        except asyncio.CancelledError:
            self._end(exchange, Outcome.STOPPED)
            raise

    def _behaviour(self, exchange: Exchange) -> Behaviour:
        if self._api_key is not None and exchange.authorization != f"Bearer {self._api_key}":
            return Behaviour.refusing(401, "Incorrect API key provided.")
        if (exchange.method, exchange.path) == ("POST", SPEECH_PATH):
            return self._speech_behaviour(exchange)
        if (exchange.method, exchange.path) == ("POST", TRANSCRIPTION_PATH):
            return self._transcription_behaviour(exchange)
        if exchange.method == "GET" and exchange.path in self._listings:
            return self._listing or self._listings[exchange.path]
        return Behaviour.refusing(404, f"No such thing: {exchange.method} {exchange.path}")

    def _speech_behaviour(self, exchange: Exchange) -> Behaviour:
        try:
            text = exchange.text
        except (ValueError, KeyError):
            return Behaviour.refusing(400, "The body has to be a JSON object with an input.")
        if not text:
            return Behaviour.refusing(400, "The input is empty.")
        if self._next:
            return self._next.popleft()
        return self._default if isinstance(self._default, Behaviour) else self._default(exchange)

    def _transcription_behaviour(self, exchange: Exchange) -> Behaviour:
        try:
            shape = exchange.upload.fields.get("response_format", "json")
        except ValueError as exc:
            return Behaviour.refusing(400, str(exc))
        what, after_s = self._heard_next.popleft() if self._heard_next else (self._hears, 0.0)
        return what if isinstance(what, Behaviour) else Behaviour.hearing(what, shape, after_s=after_s)

    def _end(self, exchange: Exchange, outcome: Outcome) -> None:
        with self._changed:
            # What was cut or complete before the client left stays so.
            if exchange.outcome is Outcome.PENDING:
                exchange.outcome = outcome
                exchange.ended_s = time.perf_counter()
            exchange.stalled = False
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Semaphore], Coroutine[None, None, None]]


class _ServerThread:
    """An event loop with a listening socket in a thread of its own, which ends for certain."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: asyncio.Semaphore | None = None
        self._quit: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._ready: Future[int] = Future()

    @property
    def port(self) -> int:
        """The port it listens on; known once it has started."""
        return self._ready.result(THREAD_TIMEOUT_S)

    def start(self) -> None:
        """Returns when the port can be reached."""
        self._thread = threading.Thread(target=self._run, name="speech endpoint", daemon=True)
        self._thread.start()
        self._ready.result(THREAD_TIMEOUT_S)

    def stop(self) -> None:
        """May be called twice.

        Raises:
            RuntimeError: The thread did not end, or a connection's handler failed in a way nobody had foreseen.
        """
        if self._thread is None or self._loop is None or self._quit is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._quit.set)
        self._thread.join(THREAD_TIMEOUT_S)
        if self._thread.is_alive():
            raise RuntimeError("the speech endpoint's thread did not end")
        self._thread = None
        if self._failures:
            raise RuntimeError("the speech endpoint itself failed") from self._failures[0]

    def release(self, count: int) -> None:
        """Open the gate for ``count`` answers."""
        if self._loop is None or self._gate is None:
            raise RuntimeError("the endpoint is not running")
        for _ in range(count):
            self._loop.call_soon_threadsafe(self._gate.release)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:
            if self._ready.done():
                raise
            self._ready.set_exception(exc)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Semaphore(0)
        self._quit = asyncio.Event()
        server = await asyncio.start_server(self._accept, LOOPBACK, 0, ssl=self._tls)
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._quit.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # what failed is kept by _done

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._gate is None:
            raise RuntimeError("a connection before the start")
        task = asyncio.create_task(self._handler(reader, writer, self._gate))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        # A task that is cancelled before its first step closes nothing by itself.
        task.add_done_callback(lambda _: writer.close())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
