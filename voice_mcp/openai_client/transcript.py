"""What a server answered to a transcription, in whichever of the shapes there are. Pure.

Asked for ``json`` or ``verbose_json``, servers send that, or plain text all the same, or text that is called JSON; some
tell of an error with a status of 200, and a proxy in front of them sends a web page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.openai_client.translation import echoes, quotation
from voice_mcp.types import TranscriptPart

NOT_WORDS_HINT = "Check that its URL in {urls} ends in /v1, and that it turns speech into text."
_WEB_PAGE = re.compile(r"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Understood:
    """What was said, as the server put it."""

    text: str
    language: str = ""
    """A code or an English name, as servers have it; empty when it does not say."""
    parts: tuple[TranscriptPart, ...] = ()


def understood(body: bytes, media_type: str, endpoint: Endpoint) -> Understood:
    """Read an answer.

    Args:
        body: All of it.
        media_type: What the server calls it (Content-Type).
        endpoint: Who sent it.

    Raises:
        EngineError: There are no words in it.
    """
    hint = endpoint.advice(NOT_WORDS_HINT)
    if not body:
        raise EngineError(f"{endpoint.host} sent an empty answer in place of a transcript.", hint=hint)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise EngineError(f"{endpoint.host} sent bytes in place of a transcript.", hint=hint) from exc
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "text/html" or _WEB_PAGE.match(text):
        raise EngineError(f"{endpoint.host} sent a web page in place of a transcript.", hint=hint)
    value = _parsed(text)
    if isinstance(value, dict):
        return _from_object(value, endpoint, hint)
    if isinstance(value, str):
        return Understood(value.strip())
    if kind.endswith("json"):
        raise EngineError(f"{endpoint.host} sent an answer without a transcript in it.", hint=hint)
    return Understood(text.strip())  # plain text, also where it happens to be a number


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter for JSON that is nested to death
        return None


def _from_object(answer: dict[str, Any], endpoint: Endpoint, hint: str) -> Understood:
    text, language = answer.get("text"), answer.get("language")
    if isinstance(text, str):
        parts = tuple(_parts(answer.get("segments")))
        return Understood(text.strip(), language if isinstance(language, str) else "", parts)
    error = answer.get("error") or answer.get("detail")
    said = error.get("message") if isinstance(error, dict) else error
    if isinstance(said, str) and said.strip() and not echoes(said, endpoint.api_key or ""):
        raise EngineError(f"{endpoint.host} sent an error in place of a transcript: {quotation(said.strip())}.")
    raise EngineError(f"{endpoint.host} sent an answer without a transcript in it.", hint=hint)


def _parts(segments: object) -> Iterator[TranscriptPart]:
    """The segments that make sense; none when there is one that does not, for then they are not the whole."""
    if not isinstance(segments, list):
        return
    parts = [_part(segment) for segment in segments]
    if None not in parts:
        yield from (part for part in parts if part is not None)


def _part(segment: object) -> TranscriptPart | None:
    if not isinstance(segment, dict) or not isinstance(text := segment.get("text"), str):
        return None
    start_s, end_s = _number(segment.get("start")), _number(segment.get("end"))
    if start_s is None or end_s is None:
        return None
    return TranscriptPart(text, start_s, end_s, _number(segment.get("no_speech_prob")))


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]
