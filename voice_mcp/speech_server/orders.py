"""What a client asks for, checked: OpenAI's fields of ``POST /v1/audio/speech``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voice_mcp.speech_server.errors import ApiError

MOST_CHARS = 4096
"""Longest input, in characters. Source: OpenAI API reference, Create speech."""
SLOWEST, FASTEST = 0.25, 4.0
DEFAULT_FORMAT = "mp3"
MEDIA_TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm;rate=24000;channels=1",
    "ogg": "audio/ogg",
}
"""The formats there are, and what to call them."""


@dataclass(frozen=True, slots=True)
class Order:
    """A request for speech."""

    text: str
    model: str | None
    voice: str | None
    format: str
    speed: float
    instructions: str | None


def read_order(body: bytes) -> Order:
    """Check a request's body. Fields that OpenAI does not have are ignored, and null counts as left out.

    Raises:
        ApiError: Something in it cannot be used; ``param`` names the field.
    """
    fields = _object(body)
    _check_stream_format(fields)
    return Order(
        text=_input(fields),
        model=_string(fields, "model"),
        voice=_voice(fields),
        format=_format(fields),
        speed=_speed(fields),
        instructions=_string(fields, "instructions"),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as exc:  # ValueError is also what bytes raise that are no UTF-8
        raise ApiError("The body could not be read as JSON.", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise ApiError("The body has to be a JSON object.", code="invalid_json")
    return {name: field for name, field in value.items() if field is not None}


def _input(fields: Mapping[str, Any]) -> str:
    text = _string(fields, "input")
    if text is None:
        raise ApiError("The field 'input' is missing.", code="missing_required_parameter", param="input")
    if not text.strip():
        raise ApiError("The input is empty. Give a text with a word in it.", code="empty_string", param="input")
    if len(text) > MOST_CHARS:
        message = f"The input has {len(text)} characters, and {MOST_CHARS} are allowed. Send it in several requests."
        raise ApiError(message, code="string_above_max_length", param="input")
    return text


def _voice(fields: Mapping[str, Any]) -> str | None:
    voice = fields.get("voice")
    if isinstance(voice, dict):  # how OpenAI takes a voice of one's own
        voice = voice.get("id")
    return _string({"voice": voice} if voice is not None else {}, "voice")


def _format(fields: Mapping[str, Any]) -> str:
    name = _string(fields, "response_format") or DEFAULT_FORMAT
    if name not in MEDIA_TYPES:
        raise ApiError(f"There is no format {name!r}. Use one of {', '.join(MEDIA_TYPES)}.", param="response_format")
    return name


def _speed(fields: Mapping[str, Any]) -> float:
    speed = fields.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise ApiError("The field 'speed' has to be a number.", code="invalid_type", param="speed")
    if not SLOWEST <= speed <= FASTEST:
        raise ApiError(f"The speed is {speed}, but it must be from {SLOWEST} to {FASTEST}.", param="speed")
    return float(speed)


def _check_stream_format(fields: Mapping[str, Any]) -> None:
    wanted = _string(fields, "stream_format") or "audio"
    if wanted != "audio":
        message = (
            f"The stream format {wanted!r} is not served: audio is streamed as it is. Use 'audio', or leave it out."
        )
        raise ApiError(message, code="unsupported_value", param="stream_format")


def _string(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(f"The field {name!r} has to be a string.", code="invalid_type", param=name)
    return value
