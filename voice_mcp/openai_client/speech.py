"""Speech requests: text out, sound back."""

from __future__ import annotations

from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.openai_client.answer import Answer
from voice_mcp.openai_client.client import FIRST_BYTE_FACTOR, EndpointClient


class SpeechClient(EndpointClient):
    """Has one endpoint speak."""

    async def open(self, fields: dict[str, Any]) -> Answer:
        """Ask for speech; returns once the answer has begun.

        Args:
            fields: The request's fields in OpenAI's names.

        Raises:
            EngineError: It did not work out; the subclass says how.
        """
        return await self._begun(
            lambda: self._client().audio.speech.with_streaming_response.create(**fields, extra_headers=self._headers()),
            self._stall_s * FIRST_BYTE_FACTOR,
        )

    async def voices(self) -> list[Any]:
        """What ``GET /audio/voices`` lists, an addition that several local servers have; the entries are unchecked.

        Raises:
            EngineError: The endpoint does not answer, or has no such list.
        """
        answer = await self._get("/audio/voices")
        listed = answer.get("voices", answer.get("data")) if isinstance(answer, dict) else answer
        if not isinstance(listed, list):
            raise EngineError(f"{self.endpoint.host} does not list its voices.")
        return listed
