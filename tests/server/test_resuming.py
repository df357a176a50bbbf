"""An engine breaks off in the middle of a sentence, and speech goes on: in the same place, once, and soon."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from tests.support.pattern import judge, pattern, spoken
from voice_mcp.app import App
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa"
SENTENCE = spoken(WORDS)
CUT = Behaviour(cut_after_bytes=100_000, cut_cleanly=True)
HELD_BACK_FRAMES = 240


@pytest.fixture
def endpoints() -> Iterator[tuple[SpeechEndpoint, SpeechEndpoint]]:
    with ExitStack() as stack:
        yield stack.enter_context(SpeechEndpoint()), stack.enter_context(SpeechEndpoint())


async def say(house: App, message: str = WORDS) -> dict[str, Any]:
    async with Client(create_server(house)) as client:
        with anyio.fail_after(30):
            result = await client.call_tool("speak", {"message": message})
    said: dict[str, Any] | None = result.structured_content
    assert said is not None
    return said


def house_of(base_dir: Path, *endpoints: SpeechEndpoint, **given: Any) -> App:
    urls = tuple(endpoint.base_url for endpoint in endpoints)
    return make_house(base_dir, **{"tts_engine": "openai", "tts_base_urls": urls, **given})


def heard(said: dict[str, Any]) -> bytes:
    with wave.open(said["audio_path"]) as saved:
        return bytes(saved.readframes(saved.getnframes()))


async def test_a_second_server_that_says_the_same_goes_on_at_the_very_frame(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.always(CUT)
    events = EventRecorder()
    said = await say(house_of(tmp_path, first, second, events=events))

    assert said["status"] == "saved"
    assert heard(said) == SENTENCE
    assert [exchange.text for exchange in second.speech] == [WORDS]
    assert said["engine"] == second.host
    (switch,) = events.of(EventType.PROVIDER_SWITCH)
    assert (switch.data["from"], switch.data["to"]) == (first.host, second.host)
    assert switch.data["reason"] == "engine_stalled"


async def test_a_second_server_that_says_it_otherwise_goes_on_from_the_word(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.always(CUT)
    second.always(lambda exchange: Behaviour(audio=pattern(1_440 * len(exchange.text), seed=7)))
    said = await say(house_of(tmp_path, first, second))
    asked = [exchange.text for exchange in second.speech]

    assert asked[0] == WORDS
    assert WORDS.endswith(asked[1])
    assert 0 < len(asked[1]) < len(WORDS)
    sound = heard(said)
    beginning = 100_000 - 2 * HELD_BACK_FRAMES
    assert sound[:beginning] == SENTENCE[:beginning]
    assert sound[100_000:] == pattern(1_440 * len(asked[1]), seed=7)


async def test_a_server_with_another_model_is_not_asked_for_what_was_said_already(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.always(CUT)
    await say(house_of(tmp_path, first, second, tts_models=("tts-1", "kokoro")))

    assert [len(exchange.text) < len(WORDS) for exchange in second.speech] == [True]


async def test_a_second_try_that_differs_only_later_is_joined_without_a_click(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    opening = pattern(12_000)
    quiet, loud = opening + bytes(2 * 60_000), opening + pattern(60_000, seed=1)
    speech_endpoint.then(Behaviour(audio=quiet, cut_after_bytes=100_000, cut_cleanly=True))
    speech_endpoint.always(Behaviour(audio=loud))
    sound = heard(await say(house_of(tmp_path, speech_endpoint)))

    assert len(sound) == len(loud)
    assert sound[: 100_000 - 2 * HELD_BACK_FRAMES] == quiet[: 100_000 - 2 * HELD_BACK_FRAMES]
    assert sound[100_000:] == loud[100_000:]
    rising = memoryview(sound[100_000 - 2 * HELD_BACK_FRAMES : 100_000]).cast("h")
    assert max(map(abs, rising[:24])) < 1_100
    assert 0 < max(map(abs, rising[:120])) < max(map(abs, rising[120:]))


async def test_a_second_try_that_says_it_otherwise_goes_on_from_the_word(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(CUT)
    speech_endpoint.always(lambda exchange: Behaviour(audio=pattern(1_440 * len(exchange.text), seed=7)))
    said = await say(house_of(tmp_path, speech_endpoint))
    first, second, third = (exchange.text for exchange in speech_endpoint.speech)

    assert first == second == WORDS
    assert WORDS.endswith(third)
    assert 0 < len(third) < len(WORDS)
    assert heard(said)[100_000:] == pattern(1_440 * len(third), seed=7)


async def test_what_another_engine_sent_and_nobody_heard_counts_for_nothing(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.always(Behaviour(cut_after_bytes=9_600, cut_cleanly=True))
    second.always(lambda exchange: Behaviour(audio=pattern(1_440 * len(exchange.text), seed=7)))
    said = await say(house_of(tmp_path, first, second))

    assert [exchange.text for exchange in second.speech] == [WORDS, WORDS]
    assert heard(said).endswith(pattern(1_440 * len(WORDS), seed=7))


async def test_two_voices_that_begin_with_the_same_silence_are_two_voices(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    silence = bytes(2 * 12_000)
    first.always(Behaviour(audio=silence + SENTENCE, cut_after_bytes=100_000, cut_cleanly=True))
    second.always(lambda exchange: Behaviour(audio=silence + pattern(1_440 * len(exchange.text), seed=7)))
    said = await say(house_of(tmp_path, first, second))
    rest = second.speech[-1].text

    assert 0 < len(rest) < len(WORDS)
    assert heard(said)[100_000:] == silence + pattern(1_440 * len(rest), seed=7)


async def test_an_answer_that_hangs_after_breaking_off_is_not_waited_for_as_long_as_a_first_one(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.then(CUT)
    first.always(Behaviour(never_answer=True))
    events = EventRecorder()
    # By the stall time-out alone a first answer might take 4 x 20 s, longer than this test may.
    said = await say(house_of(tmp_path, first, second, stream_stall_timeout=20.0, events=events))

    assert said["status"] == "saved"
    assert heard(said) == SENTENCE
    messages = [event.data["message"] for event in events.of(EventType.TTS_ERROR)]
    assert messages[-1] == f"{first.host} broke off, was asked again and did not answer in time."


async def test_the_embedded_voice_finishes_a_message_that_every_server_leaves_unfinished(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    for endpoint in endpoints:
        endpoint.always(CUT)
    message = f"{WORDS}. {WORDS}. And this is the end."
    said = await say(house_of(tmp_path, *endpoints, tts_engine="auto"), message)

    assert said["status"] == "saved"
    assert said["engine"] == "espeak"
    assert "unheard" not in said
    beginning = 100_000 - 2 * HELD_BACK_FRAMES
    assert judge(heard(said)[:beginning], spoken(endpoints[0].speech[0].text)[:beginning]).exact


async def test_what_was_measured_is_in_the_result_and_in_the_event(
    tmp_path: Path, endpoints: tuple[SpeechEndpoint, SpeechEndpoint]
) -> None:
    first, second = endpoints
    first.then(CUT, CUT)
    second.then(CUT)
    events = EventRecorder()
    said = await say(house_of(tmp_path, first, second, events=events, audio_output="null"))
    (end,) = events.of(EventType.TTS_PLAYBACK_END)

    assert (said["metrics"]["resumes"], said["metrics"]["switches"]) == (1, 1)
    assert (end.data["resumes"], end.data["switches"], end.data["device_changes"]) == (1, 1, 0)
    assert end.data["ttfa_ms"] == said["ttfa_ms"]
    assert sum(end.data["ttfa"].values()) == pytest.approx(said["ttfa_ms"], abs=0.5)
    assert {stage: ms for stage, ms in end.data["ttfa"].items() if ms} == said["metrics"]["ttfa"]
    assert end.data["buffer_mean_ms"] >= end.data["buffer_least_ms"] > 0
    assert end.data["engine"] == second.host
    assert not end.data["cached"]


async def test_the_time_in_the_queue_is_told_apart(tmp_path: Path) -> None:
    events = EventRecorder()
    house = make_house(tmp_path, audio_output="null", events=events)
    async with Client(create_server(house)) as client, anyio.create_task_group() as calls:
        for _ in range(2):
            calls.start_soon(client.call_tool, "speak", {"message": "One two three."})
    first, second = (event.data for event in events.of(EventType.TTS_PLAYBACK_END))

    assert first["ttfa"]["queue_ms"] < 1_000 * first["duration_s"] <= second["ttfa"]["queue_ms"] + 50
    assert second["ttfa_ms"] == pytest.approx(sum(second["ttfa"].values()), abs=0.5)


async def test_a_voice_that_was_only_preferred_costs_an_engine_no_second_chance(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(Behaviour.refusing(400, "Voice 'verse' not found."), CUT)
    said = await say(house_of(tmp_path, speech_endpoint, tts_voices=("verse", "alloy")))

    assert heard(said) == SENTENCE
    assert [exchange.json["voice"] for exchange in speech_endpoint.speech] == ["verse", "alloy", "alloy"]


@pytest.mark.parametrize("broken", [Behaviour(cut_after_bytes=0, cut_cleanly=True), Behaviour(raw=b"")])
async def test_a_connection_lost_before_the_first_frame_is_tried_again_where_there_is_nobody_else(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, broken: Behaviour
) -> None:
    speech_endpoint.then(broken)
    said = await say(house_of(tmp_path, speech_endpoint))

    assert heard(said) == SENTENCE
    assert "note" not in said
