"""What a watermark is put into, and what becomes of sound on its way: codecs, other rates."""

from __future__ import annotations

import asyncio
from functools import cache

import numpy as np

from voice_mcp import StreamingAudioWriter
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.codecs.resample import Resampler
from voice_mcp.samples.convert import Samples, to_frames, to_samples
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.types import PcmFormat, SpeechRequest
from voice_mcp.watermark.marker import Watermarker

RATE_HZ = 24_000
TEXT = (
    "I have looked at the logs from last night. Around two in the morning the connection to the database was lost for "
    "about forty seconds, and the queue grew to nine thousand messages. Nothing was dropped, but the alerts were late. "
    "There are three failing tests in the parser, all of them about quoted strings, and one of them fails only when "
    "it runs after the others."
)


@cache
def spoken(voice: str = "en-us", text: str = TEXT, rate_hz: int = RATE_HZ) -> Samples:
    """A text in one of espeak-ng's voices. Not from within an event loop."""
    engine_hz, sound = asyncio.run(_speak(voice, text))
    return resampled(to_samples(sound), engine_hz, rate_hz)


def marked(samples: Samples, key: str, rate_hz: int = RATE_HZ) -> Samples:
    """All of it with the mark of a key."""
    marker = Watermarker(key, rate_hz)
    return np.concatenate((marker.process(samples), marker.flush()))


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """The same sound at another rate."""
    resampler = Resampler(from_hz, to_hz)
    return to_samples(resampler.process(to_frames(samples)) + resampler.flush())


def after(codec: str, samples: Samples) -> Samples:
    """What is left at ``RATE_HZ`` after ``none``, ``resampled``, or a format of the writer at its usual bit rate."""
    if codec == "none":
        return to_samples(to_frames(samples))
    if codec == "resampled":
        return resampled(resampled(samples, RATE_HZ, 48_000), 48_000, RATE_HZ)
    with StreamingAudioWriter(codec, RATE_HZ) as writer:
        data = writer.write_chunk(samples, finalize=True)
    decoder = choose_decoder(data[:4096], writer.media_type, codec, PcmFormat(RATE_HZ, 1))
    frames = decoder.decode(data) + decoder.flush()
    assert decoder.format is not None
    return resampled(to_samples(frames), decoder.format.rate_hz, RATE_HZ)


def windows(samples: Samples, seconds: float, count: int, seed: int = 1) -> list[Samples]:
    """Stretches from anywhere in the sound."""
    frames = round(seconds * RATE_HZ)
    starts = np.random.default_rng(seed).integers(0, len(samples) - frames, count)
    return [samples[start : start + frames] for start in starts]


def snr_db(samples: Samples, changed: Samples) -> float:
    """By how much the sound is louder than what became different about it."""
    difference = changed.astype(np.float64) - samples
    return float(10 * np.log10(np.sum(samples.astype(np.float64) ** 2) / np.sum(difference**2)))


async def _speak(voice: str, text: str) -> tuple[int, bytes]:
    engine = EspeakEngine()
    try:
        stream = await engine.open(SpeechRequest(text, voice=voice))
        return engine.expected_format.rate_hz, b"".join([block async for block in stream])
    finally:
        await engine.aclose()
