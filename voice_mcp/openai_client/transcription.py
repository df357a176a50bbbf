"""Transcription requests: sound out, words back."""

from __future__ import annotations

from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.openai_client.client import FIRST_BYTE_FACTOR, EndpointClient
from voice_mcp.openai_client.transcript import Understood, understood
from voice_mcp.types import AudioClip

MOST_ANSWER_BYTES = 4 << 20
"""An hour of talk with a time for every word is less."""


class TranscriptionClient(EndpointClient):
    """Has one endpoint listen."""

    async def transcribe(self, clip: AudioClip, fields: dict[str, Any], *, sound_s: float) -> Understood:
        """Upload a piece of sound, and read what was said.

        Args:
            clip: The sound.
            fields: The request's other fields in OpenAI's names.
            sound_s: How long the sound is: the server may take as long again.

        Raises:
            EngineError: It did not work out; the subclass says how.
        """
        upload = (f"speech.{clip.extension}", clip.data, clip.media_type)
        answer = await self._begun(
            lambda: self._client().audio.transcriptions.with_streaming_response.create(
                file=upload, **fields, extra_headers=self._headers()
            ),
            self._stall_s * FIRST_BYTE_FACTOR + sound_s,
        )
        body = bytearray()
        try:
            async for block in answer:
                body += block
                if len(body) > MOST_ANSWER_BYTES:
                    raise EngineError(f"{self.endpoint.host} sent an answer without end.")
        finally:
            await answer.aclose()
        return understood(bytes(body), answer.media_type, self.endpoint)
