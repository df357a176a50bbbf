"""The library: how soon its first chunk and its first sound come, what it costs, and whether its joints can be heard.

The generator that is timed is the test voice at the pace of speech: it makes a frame of 80 ms in 80 ms, so whatever
comes later than its own sound is the library's.
"""

from __future__ import annotations

import asyncio
import os
import time

import numpy as np

from benchmarks.figures import Figure, median, quantile
from benchmarks.memory import rss_mb
from tests.support.pulse import PulseCard
from voice_mcp import TTS, StreamingAudioPlayer
from voice_mcp.core.segmentation import segment
from voice_mcp.library.chunks import FRAME_S
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest

TEXT = "The first sentence is said at once. The second one follows it, and is a little longer than the first."
TRIES = 20
MINUTES = 10
MINUTE = "This sentence is one of many that are said in a row, and none of them is any different from the others. " * 13
FIRST_FRAMES = 2
PERIOD_S = 0.01


async def measure() -> list[Figure]:
    """Everything, one after the other; only the player needs a sound card."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with PulseCard() as card:
        os.environ.update(card.env)
        os.environ["VOICEMODE_AUDIO_OUTPUT"] = "sounddevice"
        return [*_first_chunk(), *_first_sound(), _cost(), _memory(), _joints(), _tone(card)]


def _first_chunk() -> list[Figure]:
    figures = []
    for name, engine, bar in (
        ("a generator at 1 x", ToneEngine(pace=1.0), 1000 * FIRST_FRAMES * FRAME_S),
        ("espeak", "espeak", None),
    ):
        took_ms = []
        with TTS(engine) as tts:
            tts.load_model()
            for _ in range(TRIES):
                began_s = time.perf_counter()
                with tts.generate_streaming(TEXT) as chunks:
                    next(chunks)
                    took_ms.append(1000 * (time.perf_counter() - began_s))
        detail = f"p50 of {TRIES}; the chunk is 80 ms of sound; worst {max(took_ms):.0f} ms"
        figures.append(Figure(f"library: first chunk, {name}", median(took_ms), "ms", bar, detail))
    return figures


def _first_sound() -> list[Figure]:
    figures = []
    bar_ms = 1000 * (FIRST_FRAMES * FRAME_S + PERIOD_S)
    for name, engine in (("a generator at 1 x", ToneEngine(pace=1.0)), ("espeak", "espeak")):
        with TTS(engine) as tts:
            tts.say("Ready.")
            took_ms = [tts.say("One two three.").first_sound_ms or 0.0 for _ in range(TRIES)]
        detail = f"p50 of {TRIES}, call to ear, device latency included; p95 {quantile(took_ms, 0.95):.0f} ms"
        figures.append(Figure(f"library: first sound aloud, {name}", median(took_ms), "ms", bar_ms, detail))
    return figures


def _cost() -> Figure:
    """What the library adds to an engine that takes nearly no time itself."""

    async def bare() -> None:
        engine = EspeakEngine()
        for part in segment(MINUTE):
            async for _ in await engine.open(SpeechRequest(part.text, "en-us")):
                pass
        await engine.aclose()

    began_s = time.process_time()
    asyncio.run(bare())
    bare_s = time.process_time() - began_s
    with TTS("espeak") as tts:
        tts.load_model()
        began_s = time.process_time()
        sound = tts.generate(MINUTE, progress=False)
        took_s = time.process_time() - began_s
    seconds = len(sound) / tts.sample_rate
    detail = f"processor time a second of sound, resampled to 24 kHz; espeak alone {1000 * bare_s / seconds:.1f}"
    return Figure("library: cost", 1000 * took_s / seconds, "ms/s", None, detail)


def _memory() -> Figure:
    seen: dict[int, float] = {}
    made_s = 0.0
    with TTS("espeak") as tts:
        for chunk in tts.generate_streaming(MINUTE * MINUTES, progress=False):
            made_s += len(chunk) / tts.sample_rate
            seen[int(made_s / 60)] = rss_mb(os.getpid())
    last = max(seen) - 1  # the last whole minute
    growth_kb = 1024 * (seen[last] - seen[1]) / (last - 1)
    detail = f"growth from the end of minute 2 to that of minute {last + 1} of one text; its sound is 2,812 kB a minute"
    return Figure("library: memory", growth_kb, "kB/min", 50.0, detail)


def _joints() -> Figure:
    """The sharpest bend where two sentences meet, against the sharpest inside one."""
    with TTS("espeak") as tts:
        pieces = [tts.generate(part.text) for part in segment(MINUTE)]
        whole = tts.generate(MINUTE, progress=False)
    bend = np.abs(np.diff(whole, 2))
    at, edges = 0, []
    for piece in pieces[:-1]:
        at += len(piece)
        edges.append(float(bend[max(0, at - 4) : at + 4].max()))
    return Figure(
        "library: joints",
        max(edges) / float(bend.max()),
        "x",
        1.0,
        f"sharpest second difference at {len(edges)} joints, against the interior",
    )


def _tone(card: PulseCard) -> Figure:
    tone = (0.9 * np.sin(2 * np.pi * 220 * np.arange(48_000) / 24_000)).astype(np.float32)
    card.clear()
    with StreamingAudioPlayer() as player:
        for start in range(0, len(tone), 1920):
            player.queue_audio(tone[start : start + 1920])
    heard = np.frombuffer(card.captured(), "<i2").astype(np.float32) / 32768
    lead = int(np.flatnonzero(heard)[0]) - int(np.flatnonzero(np.rint(tone * 32768))[0])
    noise = heard[lead : lead + len(tone)] - tone
    snr_db = 10 * float(np.log10(np.sum(tone**2) / np.sum(noise**2)))
    return Figure(
        "player: what is added to 220 Hz in chunks", -snr_db, "dB", -90.0, "at the sound card, relative to the tone"
    )
