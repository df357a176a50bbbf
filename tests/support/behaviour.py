"""How the local speech endpoint answers one request: well, badly, late, in part, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Self

from tests.support.pattern import spoken


class Framing(Enum):
    """How the client learns where the body ends."""

    CHUNKED = auto()
    LENGTH = auto()
    """``Content-Length``."""
    CLOSE = auto()
    """The connection ends with the body, as in HTTP/1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One answer. The default one is flawless and as fast as the network."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to what the answer needs anyway."""
    content_type: str | None = None
    """None: ``audio/pcm``, or ``audio/wav`` with a header around the audio when the request asked for ``wav``."""
    audio: bytes | Callable[[str], bytes] = spoken
    """The audio, or what makes it from the text."""
    body: bytes | None = None
    """Sent in place of audio."""
    odd_tail: bool = False
    """Half a sample follows the audio."""
    endless: bool = False
    """The body comes again and again, until the client leaves."""
    raw: bytes | None = None
    """All that comes, head and body, whatever it is; the connection is closed then."""

    framing: Framing = Framing.CHUNKED
    keep_alive: bool = True
    """False: the connection is closed after the answer, and the answer says so."""
    one_byte_chunks: bool = False
    chunk_bytes: int | None = None
    """What each chunk holds; None: one block."""

    never_answer: bool = False
    """Not a byte comes back; the connection stays open."""
    slow_headers_s: float = 0.0
    """The head comes byte by byte and takes this long."""
    first_byte_delay_s: float = 0.0
    """Between the head and the first byte of the body."""
    pace: float | None = None
    """Times real time at which the body is sent; None: as fast as it is taken."""
    block_ms: float = 20.0
    """Length of the blocks a paced body is sent in, as audio."""
    bytes_per_second: int = 48_000
    """What real time is: 24 kHz, mono, 16 bits."""
    stall_after_bytes: int | None = None
    """Nothing comes for a while after this many bytes of the body."""
    stall_s: float | None = None
    """How long; None: until ``SpeechEndpoint.release()``."""
    cut_after_bytes: int | None = None
    """The connection is reset after this many bytes of the body.

    A reset also takes from the client what it had not yet taken from its own socket.
    """
    cut_cleanly: bool = False
    """The cut is an ordinary close in the middle of the body: all that was sent arrives."""
    short_body_bytes: int = 0
    """``Content-Length`` promises this much more than comes; the connection is closed then."""

    @classmethod
    def refusing(cls, status: int, message: str = "No.", *, retry_after: str | None = None) -> Self:
        """An error with OpenAI's JSON body."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        error = {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
        return cls.answering(error, status=status, headers=headers)

    @classmethod
    def answering(cls, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """JSON, whatever was asked for."""
        body = json.dumps(value).encode()
        return cls(
            status=status,
            headers=headers or {},
            content_type="application/json",
            body=body,
            framing=Framing.LENGTH,
        )

    @classmethod
    def hearing(cls, text: str, shape: str = "json", *, language: str = "english", after_s: float = 0.0) -> Self:
        """A transcript in one of OpenAI's shapes; its body comes after ``after_s`` seconds."""
        answer: dict[str, Any] = {"text": text}
        if shape == "verbose_json":
            segment = {"id": 0, "start": 0.0, "end": 1.0, "text": f" {text}", "no_speech_prob": 0.01}
            answer |= {"task": "transcribe", "language": language, "duration": 1.0, "segments": [segment]}
        made = cls.answering(answer) if shape != "text" else cls(body=f"{text}\n".encode(), content_type="text/plain")
        return replace(made, first_byte_delay_s=after_s)

    @classmethod
    def web_page(cls, status: int = 200) -> Self:
        """HTML where audio was expected: a proxy's login page, or a wrong URL."""
        page = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
        return cls(status=status, content_type="text/html; charset=utf-8", body=page, framing=Framing.LENGTH)

    @classmethod
    def redirecting(cls, location: str, status: int = 307) -> Self:
        """Asks the client to ask somewhere else."""
        return cls(
            status=status,
            headers={"Location": location},
            content_type="text/plain",
            body=b"",
            framing=Framing.LENGTH,
        )
