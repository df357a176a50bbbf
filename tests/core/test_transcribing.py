"""Who is asked what was said, in which order, how often, and what the log is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stt.recognising import as_wav, sound
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from tests.support.ports import refusing_port
from tests.test_docs import DOCS, rows
from voice_mcp.clock import ManualClock
from voice_mcp.core.failover import Roster
from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import (
    AllRecognizersFailed,
    EngineBusy,
    EngineRefused,
    ListeningUnavailable,
    UnsupportedFormat,
)
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.openai_client import Endpoint
from voice_mcp.protocols import SpeechRecognizer
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.types import AudioClip, RecognitionHints, SpeechSpan, Transcript

pytestmark = pytest.mark.anyio

LONGEST_S = 30.0
DEAD, LIVE = Behaviour.refusing(503, "Loading."), "Yes, please."


class Desk:
    """A transcriber over some endpoints, its clock, and what was told."""

    def __init__(self, folder: Path, base_urls: tuple[str, ...], hints: RecognitionHints, stall_s: float) -> None:
        self.clock = ManualClock(start_s=1000.0)
        self.told = EventRecorder()
        self.recognizers = [
            OpenAIRecognizer(Endpoint(url, part="STT"), stall_s=stall_s, pack=as_wav) for url in base_urls
        ]
        roster: Roster[SpeechRecognizer] = Roster(self.recognizers, self.clock)
        self.transcriber = Transcriber(roster, hints)
        self._archive = make_house(folder, clock=self.clock, events=self.told).archive

    async def hear(self, spans: list[SpeechSpan] | None = None, frames: bytes | None = None) -> Transcript:
        trail = Trail(self._archive, "conv_1", "utt_1")
        with anyio.fail_after(LONGEST_S):
            return await self.transcriber.transcribe(sound() if frames is None else frames, trail, spans=spans)

    def names(self) -> list[str]:
        return [event.event_type.value for event in self.told.events]

    def data(self, event_type: EventType) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.told.of(event_type)]


@asynccontextmanager
async def desk_for(
    folder: Path,
    *endpoints: SpeechEndpoint | str,
    language: str | None = None,
    prompt: str | None = None,
    stall_s: float = 2.0,
) -> AsyncIterator[Desk]:
    urls = tuple(each if isinstance(each, str) else each.base_url for each in endpoints)
    desk = Desk(folder, urls, RecognitionHints(language, prompt), stall_s)
    async with AsyncExitStack() as stack:
        for recognizer in desk.recognizers:
            stack.push_async_callback(recognizer.aclose)
        yield desk


@pytest.fixture
def first() -> Any:
    with SpeechEndpoint(hears="First.") as endpoint:
        yield endpoint


@pytest.fixture
def second() -> Any:
    with SpeechEndpoint(hears="Second.") as endpoint:
        yield endpoint


async def test_the_first_recogniser_is_asked_and_the_log_told(tmp_path: Path, first: SpeechEndpoint) -> None:
    async with desk_for(tmp_path, first, language="en", prompt="voice-mcp") as desk:
        transcript = await desk.hear([SpeechSpan(0.1, 0.4)])
    assert (transcript.text, transcript.note) == ("First.", "")
    assert desk.names() == ["STT_START", "STT_REQUEST", "STT_COMPLETE"]
    assert desk.data(EventType.STT_START) == [{"sound_s": 0.5, "speech_s": 0.3}]
    (done,) = desk.data(EventType.STT_COMPLETE)
    assert done | {"took_ms": 0} == {
        "engine": first.host,
        "model": "tts-1",
        "language": "en",
        "chars": 6,
        "took_ms": 0,
        "host": first.host,
        "bytes": len(first.transcriptions[0].upload.data),
    }
    assert desk.data(EventType.STT_REQUEST) == [{"host": first.host, "seconds": 0.5}]
    assert first.transcriptions[0].upload.fields["prompt"] == "voice-mcp"


async def test_events_carry_the_data_that_is_written_down(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint
) -> None:
    first.always_hear(DEAD)
    second.hear_next("Second.", "", DEAD)
    async with desk_for(tmp_path, first, second) as desk:
        await desk.hear()
        await desk.hear()
        await desk.hear([])
        desk.clock.advance(31)
        with pytest.raises(AllRecognizersFailed):
            await desk.hear()
    assert {name for name in desk.names() if name.startswith("STT")} == {
        *("STT_START", "STT_REQUEST", "STT_COMPLETE", "STT_NO_SPEECH", "STT_ERROR"),
    }
    explained = rows(DOCS / "events.md")
    for event in desk.told.events:
        assert event.data.keys() <= set(re.findall(r"`(\w+)`", explained[event.event_type][1])), event.event_type


async def test_no_word_that_was_said_is_in_an_event(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.always_hear("The launch code is banana.")
    async with desk_for(tmp_path, first) as desk:
        await desk.hear()
    assert "banana" not in repr(desk.told.events)


async def test_the_next_recogniser_is_asked_when_one_cannot(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint
) -> None:
    first.always_hear(DEAD)
    async with desk_for(tmp_path, first, second) as desk:
        transcript = await desk.hear()
        assert (transcript.text, transcript.engine) == ("Second.", second.host)
        assert transcript.note == f'{first.host} answered 503: "Loading.". {second.host} listened instead.'
        assert desk.names() == [
            "STT_START",
            "STT_REQUEST",
            "STT_ERROR",
            "PROVIDER_SWITCH",
            "STT_REQUEST",
            "STT_COMPLETE",
        ]
        (switch,) = desk.data(EventType.PROVIDER_SWITCH)
        assert (switch["from"], switch["to"], switch["reason"]) == (first.host, second.host, "engine_busy")
        await desk.hear()
        assert len(first.transcriptions) == 1  # it rests
        desk.clock.advance(31)
        first.always_hear("First again.")
        assert (await desk.hear()).text == "First again."


async def test_a_recogniser_that_makes_a_mistake_is_followed_by_the_next(
    tmp_path: Path, second: SpeechEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    def unable(frames: bytes) -> AudioClip:
        raise ZeroDivisionError

    async with desk_for(tmp_path, second) as desk:
        mistaken = OpenAIRecognizer(Endpoint("http://127.0.0.1:9/v1", part="STT"), stall_s=2.0, pack=unable)
        desk.transcriber.roster = Roster([mistaken, *desk.recognizers], desk.clock)
        transcript = await desk.hear()
    assert transcript.text == "Second."
    assert "ZeroDivisionError" in transcript.note
    assert desk.names().count("STT_ERROR") == 1
    assert "Traceback" in caplog.text


async def test_both_get_the_same_recording(tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint) -> None:
    first.always_hear(DEAD)
    async with desk_for(tmp_path, first, second) as desk:
        await desk.hear()
    assert first.transcriptions[0].upload.frames == second.transcriptions[0].upload.frames == sound()


async def test_a_server_that_asks_for_peace_gets_it(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint
) -> None:
    first.hear_next(Behaviour.refusing(429, "Slow down.", retry_after="5"))
    async with desk_for(tmp_path, first, second) as desk:
        assert (await desk.hear()).text == "Second."
        desk.clock.advance(4.9)
        assert (await desk.hear()).text == "Second."
        desk.clock.advance(0.2)
        assert (await desk.hear()).text == "First."


@pytest.mark.parametrize("broken", [Behaviour(raw=b""), Behaviour(body=b'{"te', cut_after_bytes=2)])
async def test_a_connection_that_broke_is_tried_once_more(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint, broken: Behaviour
) -> None:
    first.hear_next(broken)
    async with desk_for(tmp_path, first, second) as desk:
        assert (await desk.hear()).text == "First."
        assert desk.names() == ["STT_START", "STT_REQUEST", "STT_ERROR", "STT_REQUEST", "STT_COMPLETE"]
        first.hear_next(broken, broken, broken)
        assert (await desk.hear()).text == "Second."


async def test_a_recogniser_that_stands_still_is_not_waited_for_twice(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint
) -> None:
    first.always_hear(Behaviour(body=b'{"text": "First."}', stall_after_bytes=4))
    async with desk_for(tmp_path, first, second, stall_s=1.0) as desk:
        assert (await desk.hear()).text == "Second."
    assert len(first.transcriptions) == 1


async def test_a_refusal_is_not_tried_again(tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint) -> None:
    first.always_hear(Behaviour.refusing(401))
    async with desk_for(tmp_path, first, second) as desk:
        assert (await desk.hear()).text == "Second."
    assert len(first.transcriptions) == 1


async def test_when_nobody_can_tell_the_error_names_everybody(
    tmp_path: Path, first: SpeechEndpoint, second: SpeechEndpoint
) -> None:
    first.always_hear(DEAD)
    second.always_hear(Behaviour.web_page())
    async with desk_for(tmp_path, first, second) as desk:
        with pytest.raises(AllRecognizersFailed) as failed:
            await desk.hear()
    assert first.host in failed.value.message
    assert second.host in failed.value.message
    assert "conversations retry" in failed.value.hint
    assert desk.names() == [
        "STT_START",
        "STT_REQUEST",
        "STT_ERROR",
        "PROVIDER_SWITCH",
        "STT_REQUEST",
        "STT_ERROR",
        "STT_ERROR",
    ]
    assert [error.get("fatal") for error in desk.data(EventType.STT_ERROR)] == [None, None, True]


async def test_the_error_of_the_only_recogniser_is_told_as_it_is(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.always_hear(Behaviour.refusing(401))
    async with desk_for(tmp_path, first) as desk:
        with pytest.raises(EngineRefused):
            await desk.hear()


async def test_when_all_rest_all_are_asked(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.hear_next(DEAD)
    async with desk_for(tmp_path, first) as desk:
        with pytest.raises(EngineBusy):
            await desk.hear()
        assert (await desk.hear()).text == "First."


async def test_a_recording_that_cannot_be_sent_is_not_held_against_whoever_was_to_get_it(
    tmp_path: Path, first: SpeechEndpoint
) -> None:
    def refuse(frames: bytes) -> AudioClip:
        raise UnsupportedFormat("It is too long.")

    recognizer = OpenAIRecognizer(Endpoint(first.base_url, part="STT"), stall_s=2.0, pack=refuse)
    async with desk_for(tmp_path) as desk:
        desk.transcriber.roster = Roster([recognizer], desk.clock)
        with pytest.raises(UnsupportedFormat):
            await desk.hear()
        assert desk.transcriber.roster.rests_for_s(recognizer) == 0
    assert first.requests == []


async def test_without_a_recogniser_nobody_listens(tmp_path: Path) -> None:
    async with desk_for(tmp_path) as desk:
        with pytest.raises(ListeningUnavailable):
            await desk.hear()
    assert desk.names() == []


async def test_silence_is_sent_to_nobody(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.always_hear("Thank you for watching.")
    async with desk_for(tmp_path, first) as desk:
        for spans in ([], [SpeechSpan(0.2, 0.25)]):
            transcript = await desk.hear(spans)
            assert (transcript.text, transcript.engine) == ("", "")
    assert first.requests == []
    assert desk.names() == ["STT_START", "STT_NO_SPEECH"] * 2
    assert desk.data(EventType.STT_NO_SPEECH) == [{"asked": False}] * 2


async def test_silence_around_the_speech_is_not_sent(tmp_path: Path, first: SpeechEndpoint) -> None:
    frames = bytes(32_000) + sound(0.5) + bytes(64_000)
    async with desk_for(tmp_path, first) as desk:
        await desk.hear([SpeechSpan(1.0, 1.5)], frames)
    assert first.transcriptions[0].upload.frames == bytes(8_000) + sound(0.5) + bytes(8_000)


async def test_an_answer_without_words_is_no_speech(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.always_hear("[BLANK_AUDIO]")
    async with desk_for(tmp_path, first) as desk:
        assert (await desk.hear()).text == ""
    (told,) = desk.data(EventType.STT_NO_SPEECH)
    assert (told["asked"], told["engine"]) == (True, first.host)


async def test_a_transcription_that_is_cancelled_has_an_end_in_the_log(tmp_path: Path, first: SpeechEndpoint) -> None:
    first.always_hear(Behaviour(never_answer=True))
    async with desk_for(tmp_path, first) as desk:
        hearing = asyncio.create_task(desk.hear())
        await asyncio.to_thread(first.wait_for_transcriptions, 1, 10)
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing
    assert desk.names() == ["STT_START", "STT_REQUEST", "STT_ERROR"]
    assert desk.data(EventType.STT_ERROR)[0]["code"] == "cancelled"


async def test_a_recogniser_nobody_reaches_costs_next_to_nothing(tmp_path: Path, second: SpeechEndpoint) -> None:
    with refusing_port() as port:
        async with desk_for(tmp_path, f"http://127.0.0.1:{port}/v1", second) as desk:
            assert (await desk.hear()).text == "Second."
    (error,) = desk.data(EventType.STT_ERROR)
    assert error["code"] == "engine_unreachable"
