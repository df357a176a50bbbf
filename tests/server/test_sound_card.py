"""What a real sound card gets, sample by sample: the server over stdio, a real endpoint, a private PulseAudio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges
from tests.support.pattern import judge
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer, gone

pytestmark = [pytest.mark.anyio, pytest.mark.pulse]

LONG = "This sentence is one of many and takes its time. " * 10
WAIT_S = 20.0

Start = Callable[..., StdioServer]


@pytest.fixture
def start(tmp_path: Path, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint) -> Start:
    """A server that speaks with the endpoint's voice on the card, through the backend that is named."""

    def start(backend: str, **more: str) -> StdioServer:
        env = {
            **pulse_card.env,
            **more,
            "VOICEMODE_AUDIO_OUTPUT": backend,
            "VOICEMODE_TTS_ENGINE": "openai",
            "VOICEMODE_TTS_BASE_URLS": speech_endpoint.base_url,
            "VOICEMODE_SAVE_AUDIO": "true",
        }
        return StdioServer(tmp_path, env)

    return start


async def spoken(server: StdioServer, message: str) -> dict[str, object]:
    """Speak and return the structured result."""
    result = (await server.answer(server.begin_speaking(message)))["result"]
    assert not result["isError"], result
    structured: dict[str, object] = result["structuredContent"]
    return structured


@pytest.mark.parametrize("backend", ["sounddevice", "miniaudio"])
async def test_every_sample_reaches_the_card_once_and_in_order(
    start: Start, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, backend: str
) -> None:
    speech_endpoint.always(Behaviour(pace=3.0))
    async with start(backend) as server:
        await server.initialize()
        for message in ("The first message has two sentences. Here is the second one.", "Then another.", "Done."):
            pulse_card.clear()
            before = len(speech_endpoint.speech)
            result = await spoken(server, message)
            reference = b"".join(exchange.audio for exchange in speech_endpoint.speech[before:])
            verdict = judge(pulse_card.captured(), reference)
            assert verdict.exact, verdict
            assert result["underruns"] == 0
            assert result["duration_s"] == pytest.approx(len(reference) / 48_000, abs=0.001)


async def test_the_gaps_that_are_reported_are_the_gaps_the_card_had(
    start: Start, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(pace=2.0, stall_after_bytes=24_000, stall_s=0.8))
    async with start("sounddevice") as server:
        await server.initialize()
        result = await spoken(server, "The server stops here for a while.")
    verdict = judge(pulse_card.captured(), speech_endpoint.speech[0].audio)
    assert result["underruns"] == len(verdict.gaps) == 1
    assert (verdict.missing, verdict.repeated) == (0, 0)
    fade_frames = 2 * 120
    assert verdict.altered <= fade_frames


async def test_a_cancelled_message_fades_out_and_nothing_follows(
    start: Start, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint, tmp_path: Path
) -> None:
    speech_endpoint.always(Behaviour(pace=4.0))
    async with start("sounddevice") as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        server.notify("notifications/cancelled", {"requestId": call})
        await asyncio.to_thread(pulse_card.wait_for_silence, 0.5, WAIT_S)
        sound = pulse_card.captured()
        await spoken(server, "Next.")
    (line,) = [line for line in exchanges(tmp_path) if line["metadata"]["status"] == "interrupted"]
    first_request = speech_endpoint.speech[0].audio
    verdict = judge(sound, first_request)
    fade_frames = 192
    assert verdict.gap_frames < 24  # a faded sample may round to zero; a gap would be a period at least
    assert verdict.repeated == 0
    assert 0 < line["duration_ms"] * 24 - verdict.found <= fade_frames + 24


async def test_a_device_that_disappears_mid_word_and_is_not_waited_for_ends_in_a_clear_result(
    start: Start, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(pace=2.0))
    async with start("sounddevice", VOICEMODE_DEVICE_WAIT_S="0") as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        audio_process = await server.audio_process()
        pulse_card.unplug()
        result = (await server.answer(call))["result"]
        assert result["isError"]
        assert result["structuredContent"]["error"] == "speech_cut_off"
        assert result["structuredContent"]["unheard"]
        server.close_input()
        assert await server.exit_code() == 0
        await gone(audio_process)


async def test_a_host_that_goes_away_silences_the_card(
    start: Start, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(pace=4.0))
    async with start("sounddevice") as server:
        await server.initialize()
        server.begin_speaking(LONG)
        await server.speaking()
        server.process.kill()
        await asyncio.to_thread(pulse_card.wait_for_silence, 0.5, WAIT_S)


async def test_the_embedded_voice_is_heard(tmp_path: Path, pulse_card: PulseCard) -> None:
    env = {**pulse_card.env, "VOICEMODE_AUDIO_OUTPUT": "auto", "VOICEMODE_TTS_ENGINE": "espeak"}
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        result = await spoken(server, "Good morning. This is the embedded voice.")
    assert result["status"] == "completed"
    assert result["engine"] == "espeak"
    assert len(pulse_card.captured().strip(b"\0")) > 24_000
