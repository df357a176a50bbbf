"""Phrases that are said often come from the disk: the same sound, sooner, and without anybody to ask."""

from __future__ import annotations

import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in, make_house
from tests.support.waiting import eventually_async
from voice_mcp import StreamingAudioWriter
from voice_mcp.app import App
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_folder

pytestmark = pytest.mark.anyio

TIMEOUT_S = 20.0


class Caller:
    """An agent that speaks, and gives the journal the time it takes to write."""

    def __init__(self, client: Client, house: App) -> None:
        self._client = client
        self._house = house

    async def speak(self, message: str = "Tests pass.", **arguments: Any) -> dict[str, Any]:
        with anyio.fail_after(TIMEOUT_S):
            result = await self._client.call_tool("speak", {"message": message, **arguments})
            assert not result.is_error, result
            assert await anyio.to_thread.run_sync(self._house.journal.flush, TIMEOUT_S)
        structured: dict[str, Any] = result.structured_content
        return structured

    async def heard(self, message: str = "Tests pass.", **arguments: Any) -> bytes:
        """The frames that were said."""
        path = Path((await self.speak(message, **arguments))["audio_path"])
        with wave.open(str(path)) as saved:
            frames: bytes = saved.readframes(saved.getnframes())
        return frames


@asynccontextmanager
async def caller(base_dir: Path, *endpoints: SpeechEndpoint, **given: Any) -> AsyncGenerator[Caller, None]:
    urls = tuple(endpoint.base_url for endpoint in endpoints)
    house = make_house(base_dir, **{"tts_engine": "openai", "tts_base_urls": urls, **given})
    async with Client(create_server(house)) as client:
        yield Caller(client, house)


def kept(base_dir: Path) -> list[Path]:
    return list(phrase_folder(DataRoot(base_dir)).glob("*.phrase"))


async def test_what_is_said_often_is_asked_for_twice_and_sounds_the_same_ever_after(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        said = [await agent.heard() for _ in range(4)]
    assert len(speech_endpoint.speech) == 2
    assert said == [speech_endpoint.speech[0].audio] * 4


async def test_with_the_endpoint_down_it_is_still_said_in_the_same_voice(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    async with caller(tmp_path, speech_endpoint, tts_voices=("alba",)) as agent:
        before = [await agent.speak() for _ in range(2)][-1]
        speech_endpoint.stop()
        after = await agent.speak()
    assert [after[fact] for fact in ("status", "voice", "engine", "duration_s")] == [
        before[fact] for fact in ("status", "voice", "engine", "duration_s")
    ]
    assert after["voice"] == "alba"
    assert after.get("note") == before.get("note")


async def test_an_endpoint_that_rests_after_a_failure_is_not_replaced_for_what_it_has_said(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    async with caller(tmp_path, speech_endpoint, tts_engine="auto") as agent:
        voice = [(await agent.speak())["voice"] for _ in range(2)][-1]
        speech_endpoint.stop()
        assert (await agent.speak("Something else."))["engine"] == "espeak"
        assert (await agent.speak())["voice"] == voice


async def test_the_next_server_says_it_without_asking(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        said = [await agent.heard() for _ in range(2)]
    speech_endpoint.stop()
    async with caller(tmp_path, speech_endpoint) as agent:
        assert await agent.heard() == said[0]


async def test_that_it_came_from_the_disk_is_on_record(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    events = EventRecorder()
    async with caller(tmp_path, speech_endpoint, events=events) as agent:
        for _ in range(3):
            await agent.speak()
    assert [event.data.get("cached", False) for event in events.of(EventType.TTS_REQUEST)] == [False, False, True]


@pytest.mark.parametrize(
    "change",
    [{"voice": "bruno"}, {"speed": 1.5}, {"instructions": "Cheerfully."}],
    ids=lambda change: next(iter(change)),
)
async def test_said_in_another_way_it_is_asked_for(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, change: dict[str, Any]
) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        for _ in range(3):
            await agent.speak()
        await agent.speak(**change)
    assert len(speech_endpoint.speech) == 3


@pytest.mark.parametrize(
    "change", [{"tts_models": ("tts-2",)}, {"tts_audio_format": "wav"}], ids=lambda change: next(iter(change))
)
async def test_made_in_another_way_it_is_asked_for(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, change: dict[str, Any]
) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        for _ in range(3):
            await agent.speak()
    async with caller(tmp_path, speech_endpoint, **change) as agent:
        await agent.speak()
    assert len(speech_endpoint.speech) == 3


@pytest.mark.parametrize(
    "message",
    [
        "The password is correct horse.",
        "Use sk-proj-AbCdEfGhIjKlMnOp.",
        "Card 4111 1111 1111 1111.",
        "It is `aBcDefGhiJklMnop`.",
        "This goes on for so long, with so many words in it, that nobody says it twice.",
    ],
)
async def test_what_could_hold_a_secret_is_never_kept(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, message: str
) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        for _ in range(3):
            await agent.speak(message)
    assert len(speech_endpoint.speech) == 3
    assert kept(tmp_path) == []


async def test_no_text_is_kept_with_the_sound(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    async with caller(tmp_path, speech_endpoint) as agent:
        for _ in range(2):
            await agent.speak()
    assert len(kept(tmp_path)) == 1
    assert b"Tests" not in everything_in(phrase_folder(DataRoot(tmp_path)))


async def test_the_embedded_engines_are_not_kept(tmp_path: Path) -> None:
    async with caller(tmp_path, tts_engine="espeak") as agent:
        for _ in range(3):
            await agent.speak()
    assert kept(tmp_path) == []


async def test_what_was_broken_off_is_not_kept_and_what_replaced_it_is(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    cut, whole = Behaviour(cut_after_bytes=20_000), Behaviour()
    speech_endpoint.then(cut, whole, cut, whole)
    async with caller(tmp_path, speech_endpoint) as agent:
        said = [await agent.heard() for _ in range(3)]
    assert len(speech_endpoint.speech) == 4
    assert said == [speech_endpoint.speech[0].audio] * 3


async def test_what_arrived_damaged_is_not_kept(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    writer = StreamingAudioWriter("flac", 24_000)
    audio = bytearray(writer.write_chunk(np.arange(48_000).astype(np.int16)) + writer.finalize())
    middle = len(audio) // 2
    audio[middle : middle + 2_000] = bytes(2_000)
    speech_endpoint.always(Behaviour(audio=bytes(audio), content_type="audio/flac"))
    async with caller(tmp_path, speech_endpoint) as agent:
        notes = [(await agent.speak())["note"] for _ in range(3)]
    assert all("damaged" in note for note in notes)
    assert len(speech_endpoint.speech) == 3
    assert kept(tmp_path) == []


async def test_what_the_user_stopped_is_not_kept(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(*[Behaviour(stall_after_bytes=10_000)] * 3)

    def stalled(count: int) -> bool:
        return len(speech_endpoint.speech) == count and speech_endpoint.speech[-1].stalled

    async with caller(tmp_path, speech_endpoint, audio_output="null", stream_stall_timeout=60.0) as agent:
        for count in (1, 2, 3):
            with anyio.fail_after(TIMEOUT_S):
                async with anyio.create_task_group() as calls:
                    calls.start_soon(agent.speak)
                    await eventually_async(partial(stalled, count), TIMEOUT_S)
                    calls.cancel_scope.cancel()
        for _ in range(3):
            await agent.speak()
    assert len(speech_endpoint.speech) == 5
