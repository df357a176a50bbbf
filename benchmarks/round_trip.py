"""Our voice through a sound card, a cable and a microphone to a recogniser, beside the same voice from a clean file."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.recognisers import COMMANDS, HINTS, SENTENCES, SPEED
from tests.support.pulse import FIRST_SINK, PulseCard
from tests.support.stdio import StdioServer
from tests.support.voice import speak
from tests.support.words import word_error_rate
from voice_mcp.capture.link import CaptureConfig, MicrophoneLink
from voice_mcp.codecs.conversion import Converter
from voice_mcp.protocols import Capture
from voice_mcp.stt.sphinx import SphinxRecognizer

VOICE = "en-us"
SILENCE_S = 0.3
"""What a detector leaves around speech."""


async def measure() -> list[Figure]:
    """Say everything twice: into a file, and through the air as far as there is any here."""
    with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
        card.control("set-default-source", f"{FIRST_SINK}.monitor")
        os.environ.update(card.env)  # the process that listens is a child of this one
        env = {**card.env, "VOICEMODE_TTS_ENGINE": "espeak", "VOICEMODE_AUDIO_OUTPUT": "sounddevice"}
        async with StdioServer(Path(folder), env) as server:
            await server.initialize()
            figures = []
            for what, grammar, texts in (("commands", True, COMMANDS), ("dictation", False, SENTENCES)):
                recognizer = SphinxRecognizer() if grammar else SphinxRecognizer(None)
                clean = [(text, await _understood(recognizer, await speak(text, VOICE, SPEED))) for text in texts]
                cable = [(text, await _understood(recognizer, await _heard(server, text))) for text in texts]
                await recognizer.aclose()
                rate, limit = 100 * word_error_rate(cable), 100 * word_error_rate(clean)
                detail = f"the clean file: {limit:.1f} %; sphinx, {len(texts)} texts"
                figures.append(Figure(f"word error rate through card and microphone, {what}", rate, "%", limit, detail))
    return figures


async def _understood(recognizer: SphinxRecognizer, frames: bytes) -> str:
    return (await recognizer.transcribe(frames, HINTS)).text


async def _heard(server: StdioServer, text: str) -> bytes:
    """What the microphone hears while a text is spoken."""
    microphone = MicrophoneLink(CaptureConfig(backends=("sounddevice",)), Converter)
    capture = await microphone.open()
    frames: list[bytes] = []
    listening = asyncio.create_task(_listen(capture, frames))
    try:
        await server.answer(server.begin_speaking(text, voice=VOICE, speed=SPEED))
        await asyncio.sleep(SILENCE_S)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await capture.aclose()
        await microphone.aclose()
    return b"".join(frames)


async def _listen(capture: Capture, frames: list[bytes]) -> None:
    async for sound in capture:
        frames += [sound.frames]
