"""A real HTTP server with one large file, that can go on in the middle of it or cannot, and breaks off when told to."""

from __future__ import annotations

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.ports import LOOPBACK

_STOP_S = 10.0


class FileServer:
    """Serves ``content`` at every path. Use it as a context manager.

    Args:
        content: The file.
        resumes: Whether it understands ``Range``.
        status: What it answers instead, if it answers with something else.
    """

    def __init__(self, content: bytes, *, resumes: bool = True, status: int = 200) -> None:
        self.content = content
        self.resumes = resumes
        self.status = status
        self.breaks: deque[int] = deque()
        """After how many bytes the next answers break off, one each."""
        self.stalls: deque[int] = deque()
        """After how many bytes the next answers come to a stop, one each."""
        self.stalled = threading.Event()
        """Set when one has."""
        self._over = threading.Event()
        self.ranges: list[str | None] = []
        """The ``Range`` of each request."""
        self.redirects: deque[str] = deque()
        """Where the next requests are sent, one each."""
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_STOP_S)

    @property
    def address(self) -> str:
        """Where the file is."""
        return f"http://{LOOPBACK}:{self._server.server_port}/weights.bin"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.ranges.append(self.headers.get("Range"))
                if server.redirects:
                    self.send_response(302)
                    self.send_header("Location", server.redirects.popleft())
                    self.end_headers()
                elif server.status != 200:
                    self.send_error(server.status)
                else:
                    self._send_file()

            def _send_file(self) -> None:
                begin = 0
                if server.resumes and (asked := self.headers.get("Range")) is not None:
                    begin = int(asked.removeprefix("bytes=").rstrip("-"))
                    if begin >= len(server.content):
                        self.send_error(416)
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {begin}-{len(server.content) - 1}/{len(server.content)}")
                else:
                    self.send_response(200)
                rest = server.content[begin:]
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                if server.breaks:
                    rest = rest[: server.breaks.popleft()]
                if server.stalls:
                    self.wfile.write(rest[: server.stalls.popleft()])
                    self.wfile.flush()
                    server.stalled.set()
                    server._over.wait()
                    return
                self.wfile.write(rest)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nothing on standard error."""

        return Handler
