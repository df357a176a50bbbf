"""One request to the local speech endpoint and what became of its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from tests.support.upload import Upload, parsed_upload


class Outcome(Enum):
    """How an answer ended."""

    PENDING = auto()
    COMPLETE = auto()
    """Everything that was to be sent was sent."""
    CUT = auto()
    """The endpoint ended it early, as it was told to."""
    CLIENT_LEFT = auto()
    STOPPED = auto()
    """The endpoint was stopped first."""


@dataclass(slots=True)
class Exchange:
    """Written by the endpoint's thread; its moments are ``perf_counter()`` seconds."""

    connection: int
    """Which connection it came on, counted from 1."""
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    request_body: bytes
    arrived_s: float
    """When the whole request was there."""
    audio: bytes = b""
    """The body that was to be sent, before anything was done to it."""
    head_s: float | None = None
    """When the first byte of the answer's head was written."""
    first_byte_s: float | None = None
    """When the first byte of the body was written."""
    ended_s: float | None = None
    sent_bytes: int = 0
    """How much of the body was handed to the network."""
    stalled: bool = False
    """It stands still now, as it was told to."""
    outcome: Outcome = Outcome.PENDING

    _json: Any = field(default=None, repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """The request's body as the JSON object it has to be."""
        if self._json is None:
            value = json.loads(self.request_body)
            if not isinstance(value, dict):
                raise ValueError("the request's body is JSON, but no object")
            self._json = value
        parsed: dict[str, Any] = self._json
        return parsed

    @property
    def text(self) -> str:
        """What was to be spoken."""
        return str(self.json["input"])

    @property
    def upload(self) -> Upload:
        """What was to be transcribed."""
        return parsed_upload(self.headers.get("content-type", ""), self.request_body)

    @property
    def authorization(self) -> str | None:
        """The header, as it came."""
        return self.headers.get("authorization")
