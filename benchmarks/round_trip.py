"""Our voice through a sound card, a cable and a microphone to a recogniser, beside the recording of the same words.

espeak-ng draws a little noise anew whenever it speaks, and a word more or less hangs on that: so the clean file is not
another take but what the server recorded as it spoke, and every text is said ``TAKES`` times.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import wave
from array import array
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.recognisers import COMMANDS, HINTS, SENTENCES, SPEED
from tests.support.pulse import FIRST_SINK, PulseCard
from tests.support.stdio import StdioServer
from tests.support.words import word_error_rate
from voice_mcp.capture.link import CaptureConfig, MicrophoneLink
from voice_mcp.codecs.conversion import Converter
from voice_mcp.protocols import Capture
from voice_mcp.stt.sphinx import SphinxRecognizer
from voice_mcp.types import LISTENING_FORMAT, PcmFormat

VOICE = "en-us"
TAKES = 3
SILENCE_S = 0.3
"""What a detector leaves around speech."""
SOFTEST = 8
"""Of 32,767: what is softer, at either end, is silence."""


async def measure() -> list[Figure]:
    """Say everything, and have both understood: what was recorded, and what came back through the microphone."""
    with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
        card.control("set-default-source", f"{FIRST_SINK}.monitor")
        os.environ.update(card.env)  # the process that listens is a child of this one
        env = {
            **card.env,
            "VOICEMODE_TTS_ENGINE": "espeak",
            "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
            "VOICEMODE_SAVE_AUDIO": "true",
        }
        async with StdioServer(Path(folder), env) as server:
            await server.initialize()
            figures = []
            for what, grammar, texts in (("commands", True, COMMANDS), ("dictation", False, SENTENCES)):
                recognizer = SphinxRecognizer() if grammar else SphinxRecognizer(None)
                clean, cable = [], []
                for text in texts * TAKES:
                    recorded, heard = await _said(server, text)
                    clean.append((text, await _understood(recognizer, recorded)))
                    cable.append((text, await _understood(recognizer, heard)))
                await recognizer.aclose()
                rate, limit = 100 * word_error_rate(cable), 100 * word_error_rate(clean)
                detail = f"the clean file: {limit:.1f} %; sphinx, {TAKES} x {len(texts)} texts"
                figures.append(Figure(f"word error rate through card and microphone, {what}", rate, "%", limit, detail))
    return figures


async def _understood(recognizer: SphinxRecognizer, frames: bytes) -> str:
    return (await recognizer.transcribe(frames, HINTS)).text


async def _said(server: StdioServer, text: str) -> tuple[bytes, bytes]:
    """What the server recorded while it spoke a text, and what the microphone heard; framed alike."""
    microphone = MicrophoneLink(CaptureConfig(backends=("sounddevice",)), Converter)
    capture = await microphone.open()
    frames: list[bytes] = []
    listening = asyncio.create_task(_listen(capture, frames))
    try:
        answer = await server.answer(server.begin_speaking(text, voice=VOICE, speed=SPEED))
        await asyncio.sleep(SILENCE_S)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await capture.aclose()
        await microphone.aclose()
    with wave.open(answer["result"]["structuredContent"]["audio_path"], "rb") as file:
        converter = Converter(PcmFormat(file.getframerate(), file.getnchannels()), LISTENING_FORMAT)
        recorded = converter.convert(file.readframes(file.getnframes())) + converter.flush()
    return _framed(recorded), _framed(b"".join(frames))


def _framed(sound: bytes) -> bytes:
    """The same with as much silence around it as a detector leaves."""
    samples = array("h", sound)
    loud = [index for index, sample in enumerate(samples) if abs(sample) > SOFTEST]
    assert loud, "nothing was heard"
    silence = bytes(LISTENING_FORMAT.frames_in(SILENCE_S) * LISTENING_FORMAT.frame_bytes)
    return silence + samples[loud[0] : loud[-1] + 1].tobytes() + silence


async def _listen(capture: Capture, frames: list[bytes]) -> None:
    async for sound in capture:
        frames += [sound.frames]
