"""The audio process is killed again and again in the middle of a message: every word is heard all the same."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stress.load import expected, numbered, recorded, times
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events
from tests.support.pattern import judge
from tests.support.pulse import PulseCard
from tests.support.stdio import ANSWER_S, StdioServer

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="kills by a POSIX signal")]

KILLS = times(20)
KILLS_AT_THE_CARD = times(4)
LATEST_KILL_S = 0.2
"""How long an audio process lives at most, once it is there: some die before they have opened a device."""
MOST_REPEATED_S = 0.05
"""How much a listener hears twice at each loss: what the card may or may not have had when its player died."""
SEED = 2_741


async def killed_on_the_way(server: StdioServer, message: str, kills: int) -> dict[str, Any]:
    """Say ``message`` while its audio process is killed ``kills`` times; the result."""
    moments = random.Random(SEED)
    call = server.begin_speaking(message)
    killed = None
    await server.speaking()  # whoever dies before the first word is not asked again, but replaced by a file
    for _ in range(kills):
        killed = await another(server, killed)
        await not_before(server, moments.uniform(0, LATEST_KILL_S))
        os.kill(killed, signal.SIGKILL)
    result = (await server.answer(call))["result"]
    assert not result["isError"], result
    structured: dict[str, Any] = result["structuredContent"]
    server.close_input()
    assert await server.exit_code() == 0
    return structured


async def another(server: StdioServer, killed: int | None) -> int:
    """The audio process that plays now, once it is not the one that was killed."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            answer = await server.ask("resources/read", {"uri": "voice://status"})
            pid = json.loads(answer["result"]["contents"][0]["text"])["audio_process"]
            if pid not in (None, killed):
                return int(pid)


async def not_before(server: StdioServer, wait_s: float) -> None:
    """Let ``wait_s`` seconds pass; nothing that is said meanwhile is of interest."""
    nothing = asyncio.ensure_future(server.line_where(lambda line: False))
    await asyncio.wait([nothing], timeout=wait_s)
    nothing.cancel()
    await asyncio.wait([nothing])


async def test_however_often_the_audio_process_dies_no_frame_is_missing_from_the_record(tmp_path: Path) -> None:
    message = " ".join(numbered(sentence, words=1) for sentence in range(KILLS))
    env = {"VOICEMODE_SAVE_AUDIO": "true", "VOICEMODE_OUTPUT_DEVICE": "10x"}
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        result = await killed_on_the_way(server, message, KILLS)
    frames = await expected(message)
    (line,) = exchanges(tmp_path)
    assert result["status"] == line["metadata"]["status"] == "completed"
    assert result["duration_s"] == pytest.approx(len(frames) / 48_000, abs=0.001)
    assert recorded(tmp_path / line["audio_file"]) == frames
    kinds = [event["event_type"] for event in logged_events(tmp_path)]
    # Those that died before they had opened a device belong to the loss before them.
    assert 1 <= kinds.count("DEVICE_LOST") <= KILLS
    assert kinds.count("TTS_START") == kinds.count("TTS_PLAYBACK_END") == 1


@pytest.mark.pulse
async def test_however_often_the_audio_process_dies_the_card_gets_every_frame(
    tmp_path: Path, pulse_card: PulseCard, speech_endpoint: SpeechEndpoint
) -> None:
    message = " ".join(numbered(sentence, words=1) for sentence in range(KILLS_AT_THE_CARD))
    env = {
        **pulse_card.env,
        "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": speech_endpoint.base_url,
    }
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        result = await killed_on_the_way(server, message, KILLS_AT_THE_CARD)
    verdict = judge(pulse_card.captured(), b"".join(exchange.audio for exchange in speech_endpoint.speech))
    assert result["status"] == "completed"
    assert verdict.missing == 0, verdict
    assert verdict.repeated <= KILLS_AT_THE_CARD * MOST_REPEATED_S * pulse_card.rate_hz, verdict
