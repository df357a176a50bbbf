"""A recogniser that asks an endpoint of the tests, and sound for it."""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tests.support.endpoint import SpeechEndpoint
from voice_mcp.codecs.clip import make_clip
from voice_mcp.openai_client import Endpoint
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.types import LISTENING_FORMAT, AudioClip

LONGEST_S = 30.0


def sound(seconds: float = 0.5) -> bytes:
    """A tone that swells, so that no stretch of it is like another."""
    frames = LISTENING_FORMAT.frames_in(seconds)
    samples = (round(12_000 * index / frames * math.sin(index * 0.17)) for index in range(frames))
    return array("h", samples).tobytes()


def as_wav(frames: bytes) -> AudioClip:
    """What a server on this machine is sent."""
    return make_clip(frames, LISTENING_FORMAT, "wav")


@asynccontextmanager
async def recognizer_for(
    endpoint: SpeechEndpoint, model: str = "whisper-1", *, key: str | None = None, stall_s: float = 5.0
) -> AsyncIterator[OpenAIRecognizer]:
    """A recogniser that asks an endpoint, for a while."""
    there = Endpoint(endpoint.base_url, key, model, "STT")
    recognizer = OpenAIRecognizer(there, stall_s=stall_s, pack=as_wav)
    try:
        with anyio.fail_after(LONGEST_S):
            yield recognizer
    finally:
        await recognizer.aclose()
