"""Memory over one utterance of ten minutes, at the pace of the ear."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.memory import rss_mb
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.stdio import StdioServer

MINUTES = 10
SENTENCE = "This sentence is one of many and takes its time. "


async def measure() -> list[Figure]:
    """Speak for ten minutes and look at both processes from the second minute on."""
    samples: list[float] = []
    with SpeechEndpoint(Behaviour(pace=4.0)) as endpoint, tempfile.TemporaryDirectory() as folder:
        env = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_TTS_BASE_URLS": endpoint.base_url}
        async with StdioServer(Path(folder), env) as server:
            await server.initialize()
            call = server.begin_speaking(SENTENCE * (MINUTES * 60 // 2))
            await server.speaking()
            audio_process = await server.audio_process()
            for _ in range(MINUTES - 1):
                await _listen(server, 60.0)
                samples.append(rss_mb(server.process.pid) + rss_mb(audio_process))
            server.notify("notifications/cancelled", {"requestId": call})
    growth_kb = (samples[-1] - samples[0]) * 1024 / (len(samples) - 1)
    shown = ", ".join(f"{sample:.1f}" for sample in samples)
    return [Figure("memory growth over a long utterance", growth_kb, "kB/min", 100, f"MB at each minute: {shown}")]


async def _listen(server: StdioServer, seconds: float) -> None:
    """Take the captions as a host would, for a while."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await server.line_where(lambda line: "method" in line)
    except TimeoutError:
        return
