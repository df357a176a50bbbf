"""From the call to the request, from the first byte to the first frame: a real endpoint, a real card, real stdio."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, median, quantile
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from voice_mcp.clock import SystemClock

WARM_CALLS = 60
FIRST_CALLS = 5
SETTLE_S = 2.5
"""A user's first words do not come within the second in which the host has started."""
MESSAGE = "Done."


async def measure() -> list[Figure]:
    """Speak short messages, many times."""
    with PulseCard() as card, SpeechEndpoint(Behaviour(pace=2.0)) as endpoint:
        env = {**card.env, "VOICEMODE_AUDIO_OUTPUT": "sounddevice"}
        firsts = [(await _calls(endpoint, env, 1))[0][0] for _ in range(FIRST_CALLS)]
        requests, frames = await _calls(endpoint, env, WARM_CALLS)
        embedded = await _embedded(env)
    return [
        Figure(
            "speak call to request, first call", median(firsts) * 1000, "ms", 100, f"median of {FIRST_CALLS} servers"
        ),
        Figure("speak call to request, warm", median(requests[1:]) * 1000, "ms", 15, f"median of {WARM_CALLS - 1}"),
        Figure(
            "first PCM byte sent to first frame taken, p50", median(frames) * 1000, "ms", 15, "server at 2 x real time"
        ),
        Figure(
            "first PCM byte sent to first frame taken, p99",
            quantile(frames, 0.99) * 1000,
            "ms",
            30,
            f"of {len(frames)}",
        ),
        Figure("embedded voice, call to first frame, p50", median(embedded[1:]) * 1000, "ms", 60, "warm, sound card"),
    ]


async def _calls(endpoint: SpeechEndpoint, env: Mapping[str, str], calls: int) -> tuple[list[float], list[float]]:
    """Seconds from call to request, and from first byte to first frame, for each call to one server."""
    clock = SystemClock()
    before = len(endpoint.speech)
    called: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            **env,
            "VOICEMODE_TTS_ENGINE": "openai",
            "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
            "VOICEMODE_TTS_CACHE_MB": "0",  # a phrase that is said again and again would not be asked for
        }
        await _speak(Path(folder), settings, calls, called)
        started = _playback_starts(Path(folder))
    exchanges = endpoint.speech[before:]
    requests = [exchange.arrived_s - at_s for exchange, at_s in zip(exchanges, called, strict=True)]
    frames = []
    for exchange, left in zip(exchanges, started, strict=True):
        assert exchange.first_byte_s is not None
        frames.append((left - clock.utc(exchange.first_byte_s)).total_seconds())
    return requests, frames


async def _embedded(env: Mapping[str, str]) -> list[float]:
    """Seconds from call to first frame with the embedded voice."""
    clock = SystemClock()
    called: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        await _speak(Path(folder), {**env, "VOICEMODE_TTS_ENGINE": "espeak"}, WARM_CALLS // 2, called)
        started = _playback_starts(Path(folder))
    return [(left - clock.utc(at_s)).total_seconds() for left, at_s in zip(started, called, strict=True)]


async def _speak(base_dir: Path, env: Mapping[str, str], calls: int, called: list[float]) -> None:
    async with StdioServer(base_dir, env) as server:
        await server.initialize()
        await server.ask("tools/list")
        await asyncio.sleep(SETTLE_S)
        for call in range(calls):
            # Calls come at any moment of the device's period, not always right after the end of the last.
            await asyncio.sleep(call * 0.0017 % 0.01)
            called.append(time.perf_counter())
            answer = await server.answer(server.begin_speaking(MESSAGE))
            assert not answer["result"]["isError"], answer
        server.close_input()
        await server.exit_code()


def _playback_starts(base_dir: Path) -> list[datetime]:
    """When the first frame of each utterance left for the device, as the audio process saw it."""
    events: list[dict[str, Any]] = logged_events(base_dir)
    return [
        datetime.fromisoformat(event["timestamp"]) for event in events if event["event_type"] == "TTS_PLAYBACK_START"
    ]
