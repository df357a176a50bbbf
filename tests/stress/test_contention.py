"""Busy threads beside the server, and a machine with more to do than cores: what is reported is what was heard."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.stress.load import busy_processes, expected, recorded, times
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from tests.support.pattern import judge
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from tests.support.waiting import eventually_async

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="gets busy at a POSIX signal")]

THREADS = 3
MESSAGE = "While this is said, others are busy. " * times(1)
KEEPS_AUDIO = {"VOICEMODE_SAVE_AUDIO": "true"}
BESIDE_THREADS = f"""
import itertools, runpy, signal, sys, threading

def count():
    for _ in itertools.count():
        pass

def get_busy(*_):
    for _ in range({THREADS}):
        threading.Thread(target=count, daemon=True).start()
    print("busy", file=sys.stderr, flush=True)

signal.signal(signal.SIGUSR1, get_busy)
runpy.run_module("voice_mcp", run_name="__main__", alter_sys=True)
"""
"""A program that runs the server in its own process and gets busy, in Python, when it is told to."""


@asynccontextmanager
async def beside_busy_threads(base_dir: Path, env: dict[str, str]) -> AsyncIterator[StdioServer]:
    """A server that has spoken once, and whose every step now has to wait for three threads."""
    async with StdioServer(base_dir, {**KEEPS_AUDIO, **env}, ("-c", BESIDE_THREADS)) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        server.process.send_signal(signal.SIGUSR1)
        await eventually_async(lambda: "busy" in server.errors, 10.0, "the threads' start")
        yield server


async def spoken(server: StdioServer) -> dict[str, Any]:
    """What the last words of a server were like."""
    result = (await server.answer(server.begin_speaking(MESSAGE)))["result"]
    assert not result["isError"], result
    structured: dict[str, Any] = result["structuredContent"]
    server.close_input()
    assert await server.exit_code() == 0  # and with it, all of the record is written
    return structured


def on_the_card(card: PulseCard, endpoint: SpeechEndpoint) -> dict[str, str]:
    return {
        **card.env,
        "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
    }


async def test_three_busy_threads_in_the_servers_own_process_make_no_gap(tmp_path: Path) -> None:
    async with beside_busy_threads(tmp_path, {}) as server:
        result = await spoken(server)
    assert result["underruns"] == 0
    await is_whole(tmp_path)


async def test_a_machine_that_has_more_to_do_than_cores_loses_nothing(tmp_path: Path) -> None:
    async with StdioServer(tmp_path, KEEPS_AUDIO) as server:
        await server.initialize()
        with busy_processes(2 * (os.cpu_count() or 1)):
            result = await spoken(server)
    reported = [event for event in logged_events(tmp_path) if event["event_type"] == "TTS_UNDERRUN"]
    assert result["underruns"] == len(reported)
    await is_whole(tmp_path)


@pytest.mark.pulse
async def test_three_busy_threads_make_no_gap_at_the_card(
    tmp_path: Path, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    async with beside_busy_threads(tmp_path, on_the_card(pulse_card, speech_endpoint)) as server:
        pulse_card.clear()
        result = await spoken(server)
    verdict = judge(pulse_card.captured(), b"".join(exchange.audio for exchange in speech_endpoint.speech[1:]))
    assert verdict.exact, verdict
    assert result["underruns"] == 0


@pytest.mark.pulse
async def test_a_busy_machine_costs_the_card_no_frame_and_no_gap_is_invented(
    tmp_path: Path, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    async with StdioServer(tmp_path, {**KEEPS_AUDIO, **on_the_card(pulse_card, speech_endpoint)}) as server:
        await server.initialize()
        with busy_processes(2 * (os.cpu_count() or 1)):
            result = await spoken(server)
    verdict = judge(pulse_card.captured(), b"".join(exchange.audio for exchange in speech_endpoint.speech))
    assert (verdict.missing, verdict.repeated) == (0, 0), verdict
    # Not always as many as there were: PulseAudio's ALSA plugin keeps some of the times it ran dry to itself, and where
    # that was for no longer than a period, the times at which it asks need not tell either.
    assert result["underruns"] <= len(verdict.gaps), (result, verdict)


async def is_whole(base_dir: Path) -> None:
    """The recording of the one message is what the engine made of it, sample by sample."""
    (line,) = [line for line in exchanges(base_dir) if line["text"] == MESSAGE.strip()]
    assert recorded(base_dir / line["audio_file"]) == await expected(MESSAGE)
