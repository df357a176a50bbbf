"""While it speaks: how quickly it answers, how quickly it falls silent, what it holds, whether every sample arrives."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import Figure, median, quantile
from benchmarks.memory import pss_mb, rss_mb
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.pattern import judge
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer

CANCELS = 12
UTTERANCES = 10
SENTENCE = "This sentence is one of many and takes its time. "
LONG = SENTENCE * 12


async def measure() -> list[Figure]:
    """Speak at length on a real card."""
    with SpeechEndpoint(Behaviour(pace=3.0)) as endpoint:
        with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
            env = _env(card, endpoint, "sounddevice")
            async with StdioServer(Path(folder), env) as server:
                await server.initialize()
                memory = await _ten_utterances(server)
                pings = await _ping_while_speaking(server)
                silences = [await _cancel(server, card) for _ in range(CANCELS)]
        exact = [await _exactness(endpoint, backend) for backend in ("sounddevice", "miniaudio")]
    return [
        Figure("ping while speaking, p50", median(pings) * 1000, "ms", None, f"of {len(pings)}"),
        Figure("ping while speaking, p99", quantile(pings, 0.99) * 1000, "ms", 10),
        Figure("cancel to last sound at the card, worst", max(silences) * 1000, "ms", 100, f"of {CANCELS}"),
        *memory,
        *exact,
    ]


def _env(card: PulseCard, endpoint: SpeechEndpoint, backend: str) -> Mapping[str, str]:
    return {
        **card.env,
        "VOICEMODE_AUDIO_OUTPUT": backend,
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
        "VOICEMODE_TTS_CACHE_MB": "0",
    }


async def _ten_utterances(server: StdioServer) -> list[Figure]:
    for _ in range(UTTERANCES):
        await server.answer(server.begin_speaking("One short sentence."))
    audio_process = await server.audio_process()
    main_mb, audio_mb = rss_mb(server.process.pid), rss_mb(audio_process)
    shared = f"PSS {pss_mb(server.process.pid):.0f} + {pss_mb(audio_process):.0f} MB"
    return [
        Figure("audio process, memory while speaking", audio_mb, "MB", 30, "RSS"),
        Figure("all processes after ten utterances", main_mb + audio_mb, "MB", 140, f"RSS; {shared}"),
    ]


async def _ping_while_speaking(server: StdioServer) -> list[float]:
    call = server.begin_speaking(LONG)
    await server.speaking()
    times = []
    for _ in range(200):
        began_s = time.perf_counter()
        await server.ask("ping")
        times.append(time.perf_counter() - began_s)
        await asyncio.sleep(0.02)
    server.notify("notifications/cancelled", {"requestId": call})
    return times


async def _cancel(server: StdioServer, card: PulseCard) -> float:
    """Seconds from the notification to the last sample at the card."""
    card.clear()
    call = server.begin_speaking(LONG)
    await server.speaking()
    cancelled_s = time.perf_counter()
    server.notify("notifications/cancelled", {"requestId": call})
    await asyncio.to_thread(card.wait_for_silence, 0.5, 10.0)
    last_s = card.capture.last_sound_s
    assert last_s is not None
    return last_s - cancelled_s


async def _exactness(endpoint: SpeechEndpoint, backend: str) -> Figure:
    """Samples of a message that did not reach the card exactly once and in order."""
    with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
        before = len(endpoint.speech)
        async with StdioServer(Path(folder), _env(card, endpoint, backend)) as server:
            await server.initialize()
            await server.answer(server.begin_speaking(SENTENCE * 4))
        reference = b"".join(exchange.audio for exchange in endpoint.speech[before:])
        verdict = judge(card.captured(), reference)
    wrong = verdict.missing + verdict.repeated + verdict.altered
    return Figure(f"samples not heard exactly once, {backend}", wrong, "", 0, f"of {len(reference) // 2}")
