"""Devices that come and go while the server speaks: over stdio, with a real endpoint and a real sound card."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from tests.support.pattern import Verdict, judge
from tests.support.pulse import FIRST_SINK, PulseCard
from tests.support.stdio import StdioServer, gone

pytestmark = [pytest.mark.anyio, pytest.mark.pulse]

MESSAGE = "This sentence is spoken to its end, whatever the cable does meanwhile."
LONG = "This sentence is one of many and takes its time. " * 10
WAIT_S = 20.0
RATE_HZ = 24_000
FADE = RATE_HZ * 5 // 1000
SEAM = RATE_HZ * 75 // 1000
"""Latency, what is in somebody's hands, what was not reported yet and a fade: may be heard twice at a seam."""


@pytest.fixture
def server(tmp_path: Path, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint) -> StdioServer:
    """It speaks with the endpoint's voice on the card, and waits long for a device."""
    speech_endpoint.always(Behaviour(pace=3.0))
    return StdioServer(tmp_path, environment(pulse_card, speech_endpoint))


def environment(card: PulseCard, endpoint: SpeechEndpoint, **more: str) -> dict[str, str]:
    return {
        **card.env,
        "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
        "VOICEMODE_DEVICE_WAIT_S": "15",
        **more,
    }


async def answered(server: StdioServer, call: int) -> dict[str, Any]:
    result: dict[str, Any] = (await server.answer(call))["result"]
    assert not result["isError"], result
    structured: dict[str, Any] = result["structuredContent"]
    return structured


def reference(endpoint: SpeechEndpoint) -> bytes:
    return b"".join(exchange.audio for exchange in endpoint.speech)


def unbroken(verdict: Verdict) -> bool:
    return verdict.missing == 0 and verdict.repeated <= SEAM and verdict.altered <= FADE


async def test_a_sound_server_that_dies_mid_word_and_comes_back_costs_time_and_no_sample(
    server: StdioServer, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, tmp_path: Path
) -> None:
    async with server:
        await server.initialize()
        call = server.begin_speaking(MESSAGE)
        await server.speaking()
        pulse_card.unplug()
        before = await asyncio.to_thread(pulse_card.replug)
        said = await answered(server, call)
        await asyncio.to_thread(pulse_card.wait_for_silence, 0.2, WAIT_S)
    verdict = judge(before + pulse_card.captured(), reference(speech_endpoint))
    assert unbroken(verdict), verdict
    assert said["status"] == "completed"
    assert said["duration_s"] == pytest.approx(len(reference(speech_endpoint)) / 2 / RATE_HZ, abs=0.001)
    assert [event["event_type"] for event in logged_events(tmp_path)].count("DEVICE_LOST") == 1


async def test_an_audio_process_that_is_killed_mid_word_costs_time_and_no_sample(
    server: StdioServer, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    async with server:
        await server.initialize()
        call = server.begin_speaking(MESSAGE)
        await server.speaking()
        killed = await server.audio_process()
        os.kill(killed, signal.SIGKILL)
        said = await answered(server, call)
        await asyncio.to_thread(pulse_card.wait_for_silence, 0.2, WAIT_S)
        await gone(killed)
    verdict = judge(pulse_card.captured(), reference(speech_endpoint))
    assert unbroken(verdict), verdict
    assert said["status"] == "completed"


async def test_when_the_only_device_is_taken_away_the_next_one_speaks_on(
    server: StdioServer, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    async with server:
        await server.initialize()
        call = server.begin_speaking(MESSAGE)
        await server.speaking()
        await asyncio.to_thread(pulse_card.remove_sink, FIRST_SINK)
        other = await asyncio.to_thread(pulse_card.add_sink, "headphones")
        said = await answered(server, call)
        await asyncio.to_thread(other.wait_for_silence, 0.2, WAIT_S)
    verdict = judge(pulse_card.captured() + other.data(), reference(speech_endpoint))
    assert unbroken(verdict), verdict
    assert said["status"] == "completed"


async def test_a_device_that_does_not_come_back_ends_in_what_was_heard_and_what_was_not(
    pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, tmp_path: Path
) -> None:
    speech_endpoint.always(Behaviour(pace=2.0))
    env = environment(pulse_card, speech_endpoint, VOICEMODE_DEVICE_WAIT_S="1")
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        pulse_card.unplug()
        result = (await server.answer(call))["result"]
        cut = result["structuredContent"]
        assert result["isError"]
        assert cut["error"] == "speech_cut_off"
        assert " ".join((cut["heard"], cut["unheard"])).strip() == LONG.strip()
        assert cut["heard"]
        server.close_input()
        assert await server.exit_code() == 0


async def test_a_call_can_be_cancelled_while_a_device_is_waited_for(
    pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, tmp_path: Path
) -> None:
    env = environment(pulse_card, speech_endpoint, VOICEMODE_DEVICE_WAIT_S="600")
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        pulse_card.unplug()
        await asyncio.to_thread(pulse_card.replug)
        await asyncio.to_thread(pulse_card.wait_for_sound, WAIT_S)
        pulse_card.unplug()
        server.notify("notifications/cancelled", {"requestId": call})
        await asyncio.to_thread(pulse_card.replug)
        said = await answered(server, server.begin_speaking("Next."))
        server.close_input()
        assert await server.exit_code() == 0
    assert said["status"] == "completed"
    (cancelled,) = [line for line in exchanges(tmp_path) if line["metadata"]["status"] == "interrupted"]
    assert cancelled["metadata"]["heard"]
    assert f"{cancelled['metadata']['heard']} {cancelled['metadata']['unheard']}".strip() == LONG.strip()


async def test_the_first_words_find_the_device_awake(
    pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, tmp_path: Path
) -> None:
    env = environment(pulse_card, speech_endpoint, VOICEMODE_DEVICE_WAKE_MS="300")
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        said = await answered(server, server.begin_speaking("Hello."))
    assert judge(pulse_card.captured(), reference(speech_endpoint)).missing == 0
    assert said["ttfa_ms"] >= 300
