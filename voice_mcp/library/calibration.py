"""How loud each voice is by nature, so that one gain can bring all it says to a wanted loudness.

A voice is measured once, on a sentence of its own, before it speaks: a gain that were found while it speaks would have
to change under way. At an endpoint that sentence is a request like any other.
"""

from __future__ import annotations

import asyncio

from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.core.casting import Manner
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.library.chunks import FORMAT
from voice_mcp.library.sounding import sound_of
from voice_mcp.samples.level import gain_for

SENTENCE = "She sells warm bread at the corner shop, and nobody walks home without a loaf under the arm."
"""About six seconds with most of the sounds of English: loud vowels, soft consonants, and a breath."""


class Calibration:
    """The gains of the voices.

    Args:
        target_lufs: Where every voice is brought to (ITU-R BS.1770, integrated); None leaves each as it is.
    """

    def __init__(self, target_lufs: float | None) -> None:
        self.target_lufs = target_lufs
        self._gains: dict[Manner, float] = {}

    async def gain(self, manner: Manner, roster: SpeechRoster) -> float:
        """The gain for all that is said in one manner.

        Raises:
            VoiceError: The voice cannot speak.
        """
        if self.target_lufs is None:
            return 1.0
        if manner not in self._gains:
            frames = b"".join([block async for block in sound_of(SENTENCE, manner, roster)])
            loudness = await asyncio.to_thread(loudness_lufs, frames, FORMAT)
            self._gains[manner] = gain_for(loudness, self.target_lufs)
        return self._gains[manner]
