"""Any OpenAI-compatible transcription endpoint: api.openai.com, whisper.cpp's server, speaches, ..."""

from __future__ import annotations

import asyncio
from typing import Any

from voice_mcp.errors import EngineRefused, EngineUnreachable
from voice_mcp.openai_client import Endpoint, TranscriptionClient
from voice_mcp.protocols import PackAudio
from voice_mcp.stt._languages import language_code
from voice_mcp.types import LISTENING_FORMAT, AudioClip, RecognitionHints, Transcript

PLAIN, VERBOSE = "json", "verbose_json"
"""Answers with the words alone; with the language, and with what the model thinks of each part of them as well."""
FORMAT_STATUSES = (400, 415, 422)
"""How servers answer that do not know a ``response_format``."""
PLAIN_MODELS = ("gpt-",)
"""How the names of OpenAI's models begin that have no verbose answer. Source: OpenAI API reference."""


class OpenAIRecognizer:
    """A ``SpeechRecognizer`` behind HTTP.

    Args:
        endpoint: Where to.
        stall_s: Seconds without a byte after which the endpoint counts as hung; the first one of an answer may take
            four times as long, and as long again as the sound.
        pack: Makes the file that is uploaded.
    """

    is_remote = True

    def __init__(self, endpoint: Endpoint, *, stall_s: float, pack: PackAudio) -> None:
        self._endpoint = endpoint
        self._pack = pack
        self._client = TranscriptionClient(endpoint, stall_s=stall_s)
        self._is_verbose = not endpoint.model.startswith(PLAIN_MODELS)

    @property
    def name(self) -> str:
        return self._endpoint.host

    @property
    def model(self) -> str:
        return self._endpoint.model

    @property
    def leaves_machine(self) -> bool:
        return not self._endpoint.is_local

    def prepare(self) -> None:
        """Make the client ahead of the first request."""
        self._client.prepare()

    async def check(self) -> None:
        await self._client.check()

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript:
        clip = await asyncio.to_thread(self._pack, frames)
        sound_s = LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(frames)))
        if self._is_verbose:
            try:
                return await self._ask(clip, hints, sound_s, VERBOSE)
            except EngineRefused as exc:
                if exc.status not in FORMAT_STATUSES or exc.param not in ("", "response_format"):
                    raise
            # It may be the shape that it does not have; whatever else it is, it will be refused again.
        try:
            transcript = await self._ask(clip, hints, sound_s, PLAIN)
        except EngineUnreachable as exc:
            exc.nothing_sent = exc.nothing_sent and not self._is_verbose  # whoever refused the shape has the sound
            raise
        self._is_verbose = False
        return transcript

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(self, clip: AudioClip, hints: RecognitionHints, sound_s: float, shape: str) -> Transcript:
        fields: dict[str, Any] = {"model": self._endpoint.model, "response_format": shape}
        if hints.language:
            fields["language"] = hints.language
        if hints.prompt:
            fields["prompt"] = hints.prompt
        answer = await self._client.transcribe(clip, fields, sound_s=sound_s)
        language = language_code(answer.language) or hints.language
        return Transcript(answer.text, self.name, self.model, language, answer.parts, sent_bytes=len(clip.data))
