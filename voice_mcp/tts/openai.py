"""Any OpenAI-compatible speech endpoint: api.openai.com, Kokoro-FastAPI, speaches, this project's own service, ..."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from voice_mcp.errors import EngineRefused, UnknownVoice
from voice_mcp.openai_client import Answer, Endpoint, SpeechClient
from voice_mcp.types import PcmFormat, SpeechRequest, Voice, WordMark

OPENAI_PCM = PcmFormat(24_000, 1)
"""What ``response_format: pcm`` means. Source: OpenAI API reference, Create speech."""
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
)
"""Built-in voices of api.openai.com. Source: OpenAI API reference, Create speech, 2026-11."""
DEFAULT_VOICE = "alloy"
"""What OpenAI-compatible servers map to a voice of their own."""
VOICE_STATUSES = (400, 404, 422)
"""How servers answer when they lack a voice."""
RATES_HZ = range(4_000, 192_001)
CHANNELS = range(1, 9)
"""What a Content-Type may say of PCM; anything else is a mistake, and would be noise or silence."""


class OpenAIEngine:
    """A ``SpeechEngine`` behind HTTP.

    Args:
        endpoint: Where to.
        audio_format: What to ask for: ``pcm`` or ``wav``.
        stall_s: Seconds without a byte after which the endpoint counts as hung.
    """

    expected_format = OPENAI_PCM
    is_remote = True

    def __init__(self, endpoint: Endpoint, *, audio_format: str, stall_s: float) -> None:
        self._endpoint = endpoint
        self._audio_format = audio_format
        self._client = SpeechClient(endpoint, stall_s=stall_s)
        self._refused_voices: set[str] = set()

    @property
    def name(self) -> str:
        return self._endpoint.host

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def recipe(self) -> str:
        """Everything besides the request that its audio depends on."""
        return f"{self._endpoint.base_url} {self._endpoint.model} {self._audio_format}"

    def prepare(self) -> None:
        """Make the client ahead of the first request."""
        self._client.prepare()

    async def check(self) -> None:
        """See that the endpoint answers and takes the key.

        Raises:
            EngineError: It does not.
        """
        await self._client.check()

    def knows_voice(self, name: str) -> bool | None:
        # A refusal counts everywhere: also a voice that OpenAI has is none that every model and account has.
        if name in self._refused_voices:
            return False
        # Other servers accept more than they list (mixtures, aliases), so only their own refusal can say no.
        return name in OPENAI_VOICES if self._endpoint.is_openai else None

    async def open(self, request: SpeechRequest) -> _Stream:
        voice = request.voice or DEFAULT_VOICE
        fields: dict[str, Any] = {
            "model": self._endpoint.model,
            "input": request.text,
            "voice": voice,
            "response_format": self._audio_format,
        }
        if request.speed != 1.0:
            fields["speed"] = request.speed
        if request.instructions:
            fields["instructions"] = request.instructions
        try:
            response = await self._client.open(fields)
        except EngineRefused as exc:
            if request.voice and _is_about_voice(exc, request.voice):
                self._refused_voices.add(request.voice)
                raise UnknownVoice(f"{self.name} has no voice named {voice!r}.") from exc
            raise
        return _Stream(self.name, self._endpoint.model, voice, self._audio_format, response)

    async def voices(self) -> list[Voice]:
        if self._endpoint.is_openai:
            return [Voice(name, self.name) for name in OPENAI_VOICES]
        return [voice for entry in await self._client.voices() if (voice := self._voice(entry)) is not None]

    async def aclose(self) -> None:
        await self._client.aclose()

    def _voice(self, entry: object) -> Voice | None:
        """Servers list plain names, or objects with an id or a name; None for what is neither."""
        if isinstance(entry, str):
            entry = {"id": entry}
        if not isinstance(entry, dict):
            return None
        name = _text(entry, "id", "name", "voice")
        return Voice(name, self.name, _text(entry, "language"), _text(entry, "description")) if name else None


class _Stream:
    """A ``SpeechStream`` over an HTTP response."""

    word_marks: Sequence[WordMark] = ()

    def __init__(self, engine: str, model: str, voice: str, encoding: str, response: Answer) -> None:
        self.engine = engine
        self.model = model
        self.voice = voice
        self.encoding = encoding
        self.media_type = response.media_type
        self.connect_s = response.connect_s
        self._response = response

    @property
    def pcm_format(self) -> PcmFormat:
        """What raw PCM from here is: 24 kHz mono, unless the Content-Type says otherwise (``audio/L16;rate=16000``)."""
        said = _parameters(self.media_type)
        rate_hz = said.get("rate", OPENAI_PCM.rate_hz)
        channels = said.get("channels", OPENAI_PCM.channels)
        return PcmFormat(
            rate_hz if rate_hz in RATES_HZ else OPENAI_PCM.rate_hz,
            channels if channels in CHANNELS else OPENAI_PCM.channels,
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._response)

    async def aclose(self) -> None:
        await self._response.aclose()


def _parameters(media_type: str) -> dict[str, int]:
    """The numeric parameters of a media type, of up to nine digits."""
    found: dict[str, int] = {}
    for part in media_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if re.fullmatch(r"[0-9]{1,9}", value.strip()):
            found[key.strip().lower()] = int(value)
    return found


def _is_about_voice(exc: EngineRefused, voice: str) -> bool:
    """Whether a server refuses the voice, by its own words: it blames the field, or speaks of a voice of that name.

    A host or a model with "voice" in its name must not make every refusal one of the voice.
    """
    if exc.status not in VOICE_STATUSES:
        return False
    return exc.param == "voice" or (_names(exc.said, "voices?") and _names(exc.said, re.escape(voice)))


def _names(text: str, pattern: str) -> bool:
    """Whether ``pattern`` stands in ``text`` as a word of its own, not as a part of a longer name."""
    return re.search(rf"(?<![\w.-])(?:{pattern})(?![\w-]|\.\w)", text, re.IGNORECASE) is not None


def _text(entry: dict[Any, Any], *keys: str) -> str:
    """The first of the keys that holds text, or nothing."""
    return next((value for key in keys if isinstance(value := entry.get(key), str) and value), "")
