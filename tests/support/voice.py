"""Our own voice as a microphone would hear it: espeak-ng's words in ``LISTENING_FORMAT``, clean.

espeak-ng draws a little noise anew in every run, so two takes of one text differ by some samples.
"""

from __future__ import annotations

import asyncio

from voice_mcp.codecs.conversion import Converter
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.types import LISTENING_FORMAT, SpeechRequest

PAUSE_S = 0.3
"""Silence on either side of what is said, as voice detection leaves it."""


def spoken(text: str, voice: str = "en-us", speed: float = 1.0) -> bytes:
    """``text`` as sound. Not from within an event loop; there it is ``speak``."""
    return asyncio.run(speak(text, voice, speed))


async def speak(text: str, voice: str = "en-us", speed: float = 1.0) -> bytes:
    """``text`` as sound."""
    engine = EspeakEngine()
    try:
        stream = await engine.open(SpeechRequest(text, voice=voice, speed=speed))
        sound = b"".join([block async for block in stream])
    finally:
        await engine.aclose()
    converter = Converter(engine.expected_format, LISTENING_FORMAT)
    return silence(PAUSE_S) + converter.convert(sound) + converter.flush() + silence(PAUSE_S)


def silence(seconds: float) -> bytes:
    """Nothing at all, for a while."""
    return bytes(LISTENING_FORMAT.frames_in(seconds) * LISTENING_FORMAT.frame_bytes)
