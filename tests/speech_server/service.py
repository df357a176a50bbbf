"""The real service in a thread of its own, and clients for it: OpenAI's SDK, and bare HTTP for what no SDK sends."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import openai

from tests.support.waiting import eventually
from voice_mcp.protocols import MakeMarker, SpeechEngine
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.options import Options
from voice_mcp.speech_server.run import SpeechServer, run_service
from voice_mcp.tts.tone import ToneEngine

LONGEST_S = 20.0
"""Bound of every wait; generous, for machines that are busy."""
LONG = "This sentence is one of many and takes its time. " * 40
"""Nearly two minutes of speech."""
SPEECH = "/v1/audio/speech"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has been read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape, and nothing beside it."""
        (name, error), *rest = self.json.items()
        assert (name, rest) == ("error", [])
        assert list(error) == ["message", "type", "param", "code"]
        assert error["message"]
        return dict(error)


class Service:
    """A running service. Use it as a context manager.

    Args:
        engines: Who can speak; tones unless told otherwise.
        make_marker: What marks their speech, if it is marked.
        options: How it is served; the port is always one that is free.
    """

    def __init__(self, *engines: SpeechEngine, make_marker: MakeMarker | None = None, **options: Any) -> None:
        self._engines = Engines(engines or (ToneEngine(),), make_marker)
        self._options = Options(port=0, **options)
        self._ready: Future[SpeechServer] = Future()
        self._thread = threading.Thread(target=self._run, name="speech service", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(LONGEST_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ready.result().stop)
        self._thread.join(LONGEST_S)
        assert not self._thread.is_alive()

    @property
    def base_url(self) -> str:
        """What a client is given: ends in ``/v1``."""
        return self._ready.result().base_url

    @property
    def port(self) -> int:
        return int(self.base_url.removesuffix("/v1").rpartition(":")[2])

    def client(self, token: str = "none") -> openai.OpenAI:
        """OpenAI's own client; to be closed."""
        transport = openai.DefaultHttpxClient(trust_env=False)
        return openai.OpenAI(
            base_url=self.base_url, api_key=token, max_retries=0, timeout=LONGEST_S, http_client=transport
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and read the whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def order(self, **fields: Any) -> Answer:
        """Ask for speech and read the whole answer."""
        body = json.dumps(fields).encode()
        return self.ask("POST", SPEECH, body, {"Content-Type": "application/json"})

    def begin(self, *, receive_buffer_bytes: int | None = None, **fields: Any) -> socket.socket:
        """Ask for speech and read nothing; to be closed."""
        body = json.dumps(fields).encode()
        head = f"POST {SPEECH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.settimeout(LONGEST_S)
        sock.connect(("127.0.0.1", self.port))
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return sock

    def wait_for(self, **facts: Any) -> None:
        """Wait until ``/health`` says so."""
        eventually(lambda: facts.items() <= self.ask("GET", "/health").json.items(), LONGEST_S, str(facts))

    def _run(self) -> None:
        try:
            asyncio.run(run_service(self._engines, self._options, self._started))
        except BaseException as exc:
            if self._ready.done():
                raise
            self._ready.set_exception(exc)

    def _started(self, server: SpeechServer) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set_result(server)
