"""The engines on this machine, by the names that clients know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from voice_mcp.codecs.writer import StreamingAudioWriter
from voice_mcp.core.segmentation import segment
from voice_mcp.errors import VoiceError
from voice_mcp.protocols import MakeMarker, SpeechEngine
from voice_mcp.speech_server.orders import DEFAULT_FORMAT

logger = logging.getLogger(__name__)

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""What clients ask for who know nothing of this service; listed so that those who look first find them."""


class Engines:
    """Who can speak.

    Args:
        engines: The default first; none that asks another service.
        make_marker: Makes what marks their speech as synthetic; None leaves it unmarked.
        stands_in: Whether another one becomes the default where the first turns out to be of no use.
    """

    def __init__(
        self, engines: Sequence[SpeechEngine], make_marker: MakeMarker | None = None, *, stands_in: bool = False
    ) -> None:
        self._by_name = {engine.name: engine for engine in engines}
        self.default = engines[0]
        self.make_marker = make_marker
        self._stands_in = stands_in

    @property
    def models(self) -> list[str]:
        """What may be asked for as ``model``; any other name means the default engine too."""
        return [*self._by_name, *OPENAI_MODELS]

    def of(self, model: str | None) -> SpeechEngine:
        """The engine that a request's ``model`` means."""
        return self._by_name.get((model or "").casefold(), self.default)

    async def prepare(self) -> None:
        """Load what the first request will need.

        Raises:
            EngineError: The default engine cannot speak, and none may stand in for it.
        """
        engines = list(self._by_name.values())
        for engine, following in zip(engines, [*engines[1:], None], strict=True):
            try:
                await engine.check()
            except VoiceError as exc:
                if following is None or not self._stands_in:
                    raise
                logger.warning("%s speaks instead of %s. %s", following.name, engine.name, exc.advice)
            else:
                self.default = engine
                break
        await asyncio.to_thread(_load_codecs)

    async def aclose(self) -> None:
        """Let go of all of them."""
        for engine in self._by_name.values():
            await engine.aclose()


def _load_codecs() -> None:
    segment("One. Two.")
    with StreamingAudioWriter(DEFAULT_FORMAT, 24_000) as writer:
        writer.write_chunk(bytes(2400))
