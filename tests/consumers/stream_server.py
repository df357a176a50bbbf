"""A small web server whose pages play what ``StreamingAudioWriter`` makes, while it is being made."""

from __future__ import annotations

import json
import math
import random
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from voice_mcp import StreamingAudioWriter

RATE_HZ = 24_000
CHANNELS = 2
TONES_HZ = (400, 600, 800, 1_000, 1_200)
"""What is played: each for a second, so that it can be heard which second it is."""
LENGTH_S = float(len(TONES_HZ))
WINDOW_S = 0.05
"""How finely the page listens; every tone makes whole turns in it, so that none is taken for another."""
PIECE_S = 0.1
FASTER_THAN_SOUND = 4
HELD_BACK_AFTER_S = {"element": 4.5, "mse": 1.0}
"""How much is sent before somebody must have heard some of it, by who asks.

Chromium's elements begin when they have 32 KiB (of WAV 240 KB), whatever that is in seconds: hence two channels, and
noise in both, so that every codec needs as much in the time. Media Source Extensions begin at once.
"""
LONGEST_HOLD_S = 10.0
# A browser opens six connections to a server: three elements, a media source and what they have to tell.
TOGETHER = (("wav", "mp3", "flac"), ("aac", "opus", "ogg"))
FORMATS = tuple(format for group in TOGETHER for format in group)

_PAGE = Path(__file__).parent / "page"
_PAGE_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@dataclass
class Exchange:
    """What server and page have told each other."""

    _heard: dict[str, threading.Event] = field(default_factory=dict)
    heard_before_the_rest: dict[str, bool] = field(default_factory=dict)
    """By stream: whether that was so while the rest had yet to be sent."""
    whole: dict[str, bool] = field(default_factory=dict)
    """By stream: whether the browser took all of it."""
    ranges: list[tuple[str, str | None]] = field(default_factory=list)
    """Streams in the order they were asked for, each with the Range header it was asked with."""
    report: dict[str, Any] = field(default_factory=dict)
    reported: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def heard(self, name: str) -> threading.Event:
        """Set when the page has heard the first sound of this stream (path and query after ``/audio/``)."""
        # Whoever asks first, sender or page: `setdefault` is one step, and all get the same.
        return self._heard.setdefault(name, threading.Event())


class StreamServer(ThreadingHTTPServer):
    """Serves ``/play``, and ``/play?format=mp3``, and takes what the page reports."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.exchange = Exchange()
        self.pieces = tuple(sound())

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def stream_server() -> Iterator[StreamServer]:
    """A running server."""
    with StreamServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.exchange.closing.set()
            server.shutdown()
            thread.join()


def sound() -> Iterator[bytes]:
    """The tones one after another, with noise of its own in each channel, in pieces of ``PIECE_S``."""
    noise = random.Random(1)
    frames = round(PIECE_S * RATE_HZ)
    for hz in TONES_HZ:
        # Each tone makes whole turns in a piece, so that one piece follows another without a click.
        turn = 2 * math.pi * hz / RATE_HZ
        tone = [8_000 * math.sin(turn * frame) for frame in range(frames) for _ in range(CHANNELS)]
        for _ in range(round(1 / PIECE_S)):
            yield array("h", (round(level + noise.gauss(0, 1_500)) for level in tone)).tobytes()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30.0

    @property
    def _mine(self) -> StreamServer:
        return cast(StreamServer, self.server)

    @property
    def _exchange(self) -> Exchange:
        return self._mine.exchange

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/audio/") and path.removeprefix("/audio/") in FORMATS:
            self._answer_stream(path.removeprefix("/audio/"), self.path.removeprefix("/audio/"))
        elif path == "/play":
            self._answer_file(_PAGE / "index.html")
        elif path.startswith("/page/") and (file := _PAGE / Path(path).name).is_file():
            self._answer_file(file)
        elif path == "/plan":
            self._answer(200, "application/json", json.dumps(_plan()).encode())
        else:
            self._answer(404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/report":
            self._exchange.report.update(json.loads(body))
            self._exchange.reported.set()
        elif self.path.startswith("/heard/"):
            self._exchange.heard(self.path.removeprefix("/heard/")).set()
        self._answer(204, "text/plain", b"")

    def _answer_file(self, file: Path) -> None:
        self._answer(200, _PAGE_TYPES[file.suffix], file.read_bytes())

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _answer_stream(self, format: str, name: str) -> None:
        """The encoded sound as it is made, of a length nobody tells."""
        exchange = self._exchange
        exchange.ranges.append((name, self.headers["Range"]))
        exchange.whole[name] = False
        with StreamingAudioWriter(format, RATE_HZ, CHANNELS) as writer:
            self.send_response(200)
            self.send_header("Content-Type", writer.media_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                self._send_sound(writer, name)
                exchange.whole[name] = True
            except ConnectionError:
                # The browser wants no more of it, and `whole` says so.
                return

    def _send_sound(self, writer: StreamingAudioWriter, name: str) -> None:
        exchange = self._exchange
        held_back_after_s = HELD_BACK_AFTER_S.get(name.rpartition("?by=")[2], LENGTH_S)
        for number, piece in enumerate(self._mine.pieces):
            if number == round(held_back_after_s / PIECE_S):
                exchange.heard_before_the_rest[name] = exchange.heard(name).wait(LONGEST_HOLD_S)
            self._send_chunk(writer.write_chunk(piece))
            exchange.closing.wait(PIECE_S / FASTER_THAN_SOUND)
        self._send_chunk(writer.finalize())
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, data: bytes) -> None:
        # An empty chunk would be the end.
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def _plan() -> dict[str, object]:
    return {
        "tones_hz": TONES_HZ,
        "window_s": WINDOW_S,
        "together": TOGETHER,
        "media_types": {format: StreamingAudioWriter(format, RATE_HZ, CHANNELS).media_type for format in FORMATS},
    }
