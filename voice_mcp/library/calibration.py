"""How loud each voice is by nature, so that one gain can bring all it says to a wanted loudness.

A voice is measured once, on a sentence of its own, before it speaks: a gain that were found while it speaks would have
to change under way. At an endpoint that sentence is a request like any other.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.core.casting import Manner
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.rendering import SpokenBy
from voice_mcp.errors import VoiceError
from voice_mcp.library.chunks import FORMAT
from voice_mcp.library.sounding import sound_of
from voice_mcp.samples.level import gain_for

logger = logging.getLogger(__name__)

SENTENCE = "She sells warm bread at the corner shop, and nobody walks home without a loaf under the arm."
"""About six seconds with most of the sounds of English: loud vowels, soft consonants, and a breath."""


class Calibration:
    """The gains of the voices.

    Args:
        target_lufs: Where every voice is brought to (ITU-R BS.1770, integrated); None leaves each as it is.
    """

    def __init__(self, target_lufs: float | None) -> None:
        self.target_lufs = target_lufs
        self._gains: dict[tuple[SpokenBy, float], float] = {}
        self._prepared: set[Manner] = set()

    async def prepare(self, manner: Manner, roster: SpeechRoster) -> None:
        """Measure whoever will say it, as far as that is known now: so that nobody waits for it later.

        Raises:
            VoiceError: Nobody can speak.
        """
        plain = replace(manner, sampling=None)  # how it is drawn does not make a voice louder
        if self.target_lufs is not None and plain not in self._prepared:
            await self._measure(plain, roster)
            self._prepared.add(plain)

    async def gain(self, spoken_by: SpokenBy, manner: Manner, roster: SpeechRoster) -> float:
        """The gain for all that one of them says in one manner."""
        if self.target_lufs is None:
            return 1.0
        key = (spoken_by, manner.speed)
        if key not in self._gains:
            # Somebody else took over: measured by itself, for the others may be louder or softer by nature.
            alone = [engine for engine in roster.engines if engine.name == spoken_by.engine]
            plain = replace(manner, voice=spoken_by.voice, sampling=None)
            try:
                await self._measure(plain, SpeechRoster(alone, roster.clock))
            except VoiceError as exc:
                logger.warning("The loudness of %s could not be measured. %s", spoken_by.voice, exc.advice)
        return self._gains.setdefault(key, 1.0)

    async def _measure(self, manner: Manner, roster: SpeechRoster) -> None:
        assert self.target_lufs is not None
        frames = bytearray()
        spoken_by = SpokenBy()
        async for piece in sound_of(SENTENCE, manner, roster):
            if isinstance(piece, SpokenBy):
                frames.clear()  # of two who shared it, the one who ended it
                spoken_by = piece
            else:
                frames += piece
        loudness = await asyncio.to_thread(loudness_lufs, bytes(frames), FORMAT)
        self._gains[spoken_by, manner.speed] = gain_for(loudness, self.target_lufs)
