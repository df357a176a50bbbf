from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.exchange import Exchange
from tests.support.house import everything_in, exchanges, make_house
from tests.support.pattern import spoken
from tests.support.ports import refusing_port
from voice_mcp.app import App
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

LONG = "This sentence is one of many and takes its time. " * 40


@asynccontextmanager
async def connected(house: App, mode: str = "auto") -> AsyncIterator[Client]:
    async with Client(create_server(house), mode=mode) as client:
        yield client


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def words(result: CallToolResult) -> str:
    """The text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def say(client: Client, message: str, **arguments: Any) -> Any:
    with anyio.fail_after(20):
        return await client.call_tool("speak", {"message": message, **arguments})


async def test_the_result_says_what_spoke_and_how_it_went(tmp_path: Path, era: str) -> None:
    async with connected(make_house(tmp_path), era) as client:
        result = await say(client, "Good morning.")
    assert not result.is_error
    said = result.structured_content
    assert said["status"] == "saved"
    assert (said["engine"], said["voice"], said["underruns"]) == ("tone", "sine", 0)
    assert said["duration_s"] > 0.3
    assert said["ttfa_ms"] > 0
    assert said["conversation_id"].startswith("conv_")
    assert not {"heard", "unheard"} & said.keys()


async def test_the_text_of_the_result_is_one_line_without_the_message(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path)) as client:
        result = await say(client, "Shall I delete everything?")
    assert "\n" not in words(result)
    assert "delete" not in words(result)


async def test_a_real_time_device_reports_completed(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path, audio_output="null")) as client:
        result = await say(client, "Hi.")
    assert result.structured_content["status"] == "completed"
    assert "audio_path" not in result.structured_content


async def test_what_is_saved_has_as_many_frames_as_were_played(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path)) as client:
        result = await say(client, "Every word of this is kept.")
    said = result.structured_content
    with wave.open(said["audio_path"]) as saved:
        assert saved.getnframes() / saved.getframerate() == pytest.approx(said["duration_s"], abs=0.001)
    assert Path(said["audio_path"]).parent == tmp_path / "audio" / said["conversation_id"]


async def test_what_is_played_on_a_device_is_recorded_when_asked(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path, audio_output="null", save_all=True)) as client:
        said = (await say(client, "Keep **this**.")).structured_content
    with wave.open(said["audio_path"]) as saved:
        assert saved.getnframes() / saved.getframerate() == pytest.approx(said["duration_s"], abs=0.001)
    assert Path(said["audio_path"]).with_suffix(".txt").read_text(encoding="utf-8") == "Keep **this**."


async def test_captions_rise_and_name_the_sentence(tmp_path: Path, era: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def take(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with connected(make_house(tmp_path, audio_output="null"), era) as client:
        with anyio.fail_after(20):
            await client.call_tool(
                "speak", {"message": "First we begin here with this. Then the end comes."}, progress_callback=take
            )
    positions = [position for position, _, _ in heard]
    assert positions == sorted(set(positions))
    assert {caption for _, _, caption in heard} >= {"Then the end comes."}
    assert all(total is None or total >= position for position, total, _ in heard)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"message": ""}, "nothing_to_say"),
        ({"message": " \n\t "}, "nothing_to_say"),
        ({"message": "🎉🎉"}, "nothing_to_say"),
        ({"message": "\x00\x07\x1b[31m\x1b[0m"}, "nothing_to_say"),
        ({"message": "a " * 500_000}, "message_too_long"),
        ({"message": "Hi.", "speed": 0}, "invalid_speed"),
        ({"message": "Hi.", "speed": 9}, "invalid_speed"),
        ({"message": "Hi.", "conversation_id": "../../etc"}, "invalid_conversation_id"),
        ({"message": "Hi.", "conversation_id": ""}, "invalid_conversation_id"),
        ({"message": "Hi.", "conversation_id": "x" * 65}, "invalid_conversation_id"),
        ({"message": "Hi.", "voice": "nobody"}, "unknown_voice"),
    ],
)
async def test_bad_input_is_a_tool_error_that_says_what_to_do(
    tmp_path: Path, arguments: dict[str, Any], code: str
) -> None:
    async with connected(make_house(tmp_path)) as client:
        result = await client.call_tool("speak", arguments)
    assert result.is_error
    assert result.structured_content["error"] == code
    assert words(result) == f"{result.structured_content['message']} {result.structured_content['hint']}"


async def test_a_code_block_alone_is_announced(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path)) as client:
        result = await say(client, "```python\nprint(1)\n```")
    assert not result.is_error
    assert result.structured_content["duration_s"] > 0.5


async def test_control_characters_and_broken_text_are_spoken_around(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path, tts_engine="espeak")) as client:
        result = await say(client, "Hello\x00 \x1b[31mred\x1b[0m \ufffe world\u202e.")
    assert not result.is_error


async def test_a_known_conversation_goes_on_under_its_id(tmp_path: Path) -> None:
    async with connected(make_house(tmp_path)) as client:
        await say(client, "One.", conversation_id="my-talk_1")
        await say(client, "Two.", conversation_id="my-talk_1")
        await say(client, "Elsewhere.")
        record = await client.read_resource("voice://conversations/my-talk_1")
    assert [line["text"] for line in exchanges(tmp_path) if line["conversation_id"] == "my-talk_1"] == ["One.", "Two."]
    assert "Two." in record.contents[0].text  # type: ignore[union-attr]
    assert "Elsewhere." not in record.contents[0].text  # type: ignore[union-attr]
    assert [path.name for path in sorted((tmp_path / "audio" / "my-talk_1").iterdir())] == [
        "0001_tts.wav",
        "0002_tts.wav",
    ]


async def test_without_waiting_the_call_returns_and_the_words_still_come(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    async with connected(house) as client:
        first = await say(client, "Queued words.", wait=False)
        await say(client, "And these come after them.")
    assert first.structured_content["status"] == "queued"
    assert [line["text"] for line in exchanges(tmp_path)] == ["Queued words.", "And these come after them."]
    assert exchanges(tmp_path)[0]["utterance_id"] == first.structured_content["utterance_id"]


async def test_what_nobody_waited_for_is_reported_when_it_failed(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    async with connected(house) as client:
        await say(client, "Never heard.", wait=False, voice="nobody")
        result = await say(client, "Heard.")
    assert "earlier queued message" in result.structured_content["note"]


async def test_two_calls_at_once_speak_one_after_the_other(tmp_path: Path) -> None:
    events = EventRecorder()
    house = make_house(tmp_path, audio_output="null", events=events)
    async with connected(house) as client, anyio.create_task_group() as calls:
        calls.start_soon(say, client, "One two.")
        calls.start_soon(say, client, "Three four.")
    holding = 0
    for event in events.events:
        holding += {EventType.FLOOR_ACQUIRED: 1, EventType.FLOOR_RELEASED: -1}.get(event.event_type, 0)
        assert holding in (0, 1)
    assert len(events.of(EventType.FLOOR_WAIT)) == 1


async def test_a_cancelled_call_falls_silent_and_the_record_says_what_was_heard(tmp_path: Path, era: str) -> None:
    events = EventRecorder()
    house = make_house(tmp_path, audio_output="null", events=events)
    async with connected(house, era) as client:
        spoke = anyio.Event()

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            if progress > 0.2:
                spoke.set()

        async with anyio.create_task_group() as calls:

            async def call() -> None:
                await client.call_tool("speak", {"message": LONG}, progress_callback=heard)

            calls.start_soon(call)
            with anyio.fail_after(10):
                await spoke.wait()
            calls.cancel_scope.cancel()
        after = await say(client, "Still here.")
    assert after.structured_content["status"] == "completed"
    line = exchanges(tmp_path)[0]
    assert line["metadata"]["status"] == "interrupted"
    assert line["metadata"]["heard"]
    assert " ".join((line["metadata"]["heard"], line["metadata"]["unheard"])) == LONG.strip()
    assert len(events.of(EventType.TOOL_CANCELLED)) == 1


async def test_every_start_has_one_end_and_time_never_runs_backwards(tmp_path: Path) -> None:
    events = EventRecorder()
    async with connected(make_house(tmp_path, events=events)) as client:
        await say(client, "One.")
        await say(client, "")
        await say(client, "Two.", voice="nobody")
    assert len(events.of(EventType.TOOL_REQUEST_START)) == len(events.of(EventType.TOOL_REQUEST_END)) == 3
    assert len(events.of(EventType.TTS_START)) == len(events.of(EventType.TTS_PLAYBACK_END)) == 2
    assert [event.data["success"] for event in events.of(EventType.TOOL_REQUEST_END)] == [True, False, False]
    by_utterance: dict[str | None, list[Any]] = {}
    for event in events.events:
        by_utterance.setdefault(event.utterance_id, []).append(event.timestamp)
    assert all(times == sorted(times) for name, times in by_utterance.items() if name is not None)


async def test_an_endpoint_is_asked_over_one_connection(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,), tts_cache_mb=0)
    async with connected(house) as client:
        for _ in range(3):
            await say(client, "Hello again.")
    assert len(speech_endpoint.speech) == 3
    assert speech_endpoint.connections == 1


async def test_the_words_of_an_endpoint_arrive_bit_for_bit(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        said = (await say(client, "Here is the first part. And then there is another, longer part.")).structured_content
    sent = b"".join(exchange.audio for exchange in speech_endpoint.speech)
    with wave.open(said["audio_path"]) as saved:
        assert saved.readframes(saved.getnframes()) == sent


@pytest.mark.parametrize("audio_format", ["pcm", "wav"])
@pytest.mark.parametrize("one_byte_chunks", [False, True])
async def test_formats_and_chunks_make_no_difference(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, audio_format: str, one_byte_chunks: bool
) -> None:
    speech_endpoint.always(Behaviour(one_byte_chunks=one_byte_chunks))
    house = make_house(
        tmp_path,
        tts_engine="openai",
        tts_base_urls=(speech_endpoint.base_url,),
        tts_audio_format=audio_format,
    )
    async with connected(house) as client:
        said = (await say(client, "Hi.")).structured_content
    with wave.open(said["audio_path"]) as saved:
        assert saved.readframes(saved.getnframes()) == spoken("Hi.")


async def test_the_embedded_voice_speaks_when_no_endpoint_answers(tmp_path: Path) -> None:
    events = EventRecorder()
    with refusing_port() as port:
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(f"http://127.0.0.1:{port}/v1",), events=events)
        async with connected(house) as client:
            said = (await say(client, "Hello.")).structured_content
            again = (await say(client, "Hello.")).structured_content
    assert said["engine"] == again["engine"] == "espeak"
    assert "espeak spoke instead" in said["note"]
    assert "note" not in again  # the endpoint rests now, so there is nothing new to tell
    (switch,) = events.of(EventType.PROVIDER_SWITCH)
    assert (switch.data["to"], switch.data["reason"]) == ("espeak", "engine_unreachable")


async def test_an_endpoint_that_refused_is_left_alone_for_a_while(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour.refusing(401, "Incorrect API key provided."))
    house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        for _ in range(3):
            assert (await say(client, "Hello.")).structured_content["engine"] == "espeak"
    assert len(speech_endpoint.speech) == 1


async def test_without_any_engine_the_error_names_each_and_why(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(Behaviour.refusing(500, "Out of memory."))
    with refusing_port() as port:
        urls = (f"http://127.0.0.1:{port}/v1", speech_endpoint.base_url)
        async with connected(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls)) as client:
            result = await say(client, "Hello.")
    assert result.is_error
    assert "cannot be reached" in words(result)
    assert "Out of memory." in words(result)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.web_page(),
        Behaviour.answering({"message": "hello"}),
        Behaviour(content_type="audio/mpeg", audio=b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(4000)),
        Behaviour(audio=b""),
    ],
)
async def test_what_is_not_playable_audio_is_an_error_and_never_noise(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, behaviour: Behaviour
) -> None:
    speech_endpoint.always(behaviour)
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        result = await say(client, "Hello.")
    assert result.is_error


async def test_a_connection_lost_in_a_sentence_loses_and_repeats_nothing(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(Behaviour(cut_after_bytes=40_000, cut_cleanly=True))
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        said = (await say(client, "This sentence will be cut in two.")).structured_content
    first, second = speech_endpoint.speech
    assert first.text == second.text
    with wave.open(said["audio_path"]) as saved:
        assert saved.readframes(saved.getnframes()) == second.audio


async def test_speech_that_breaks_off_for_good_says_what_was_heard(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(cut_after_bytes=48_000, cut_cleanly=True))
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,))
    message = "This sentence breaks off in its middle and is never finished."
    async with connected(house) as client:
        result = await say(client, message)
    assert result.is_error
    cut = result.structured_content
    assert cut["error"] == "speech_cut_off"
    assert cut["heard"]
    assert f"{cut['heard']} {cut['unheard']}" == message


async def test_a_key_goes_to_its_own_endpoint_and_nowhere_else(tmp_path: Path) -> None:
    with SpeechEndpoint(Behaviour.refusing(500)) as first, SpeechEndpoint() as second:
        house = make_house(
            tmp_path,
            tts_engine="openai",
            tts_base_urls=(first.base_url, second.base_url),
            tts_api_keys=("planted-key-one", ""),
            openai_api_key="planted-key-openai",
        )
        async with connected(house) as client:
            await say(client, "Hello.")
    assert [exchange.authorization for exchange in first.speech] == ["Bearer planted-key-one"]
    assert [exchange.authorization for exchange in second.speech] == [None]
    assert b"planted-key" not in everything_in(tmp_path)


async def test_a_read_only_data_folder_costs_the_record_and_not_the_voice(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    async with connected(make_house(blocked / "root", audio_output="null", save_audio=True)) as client:
        result = await say(client, "Hello.")
    assert result.structured_content["status"] == "completed"
    assert "could not be" in result.structured_content["note"]


async def test_a_preferred_voice_that_the_endpoint_lacks_gives_way_to_the_next(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    def only_nova(exchange: Exchange) -> Behaviour:
        if exchange.json["voice"] == "nova":
            return Behaviour()
        return Behaviour.refusing(400, f"Voice '{exchange.json['voice']}' not found.")

    speech_endpoint.always(only_nova)
    house = make_house(
        tmp_path,
        tts_engine="openai",
        tts_base_urls=(speech_endpoint.base_url,),
        tts_voices=("af_sky", "alloy", "nova"),
    )
    async with connected(house) as client:
        first = (await say(client, "Hello.")).structured_content
        await say(client, "Hello.")
    assert first["voice"] == "nova"
    assert [exchange.json["voice"] for exchange in speech_endpoint.speech] == ["af_sky", "alloy", "nova", "nova"]


async def test_a_voice_that_was_asked_for_and_is_nowhere_is_an_error(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour.refusing(400, "Voice 'banana' not found."))
    house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        result = await say(client, "Hello.", voice="banana")
    assert result.structured_content["error"] == "unknown_voice"


async def test_a_fallback_to_another_rate_leaves_one_file_with_all_the_sound(tmp_path: Path) -> None:
    with refusing_port() as port:
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(f"http://127.0.0.1:{port}/v1",))
        async with connected(house) as client:
            said = (await say(client, "Hello.")).structured_content
    assert Path(said["audio_path"]).name == "0001_tts.wav"
    assert [path.name for path in Path(said["audio_path"]).parent.iterdir()] == ["0001_tts.wav"]
    with wave.open(said["audio_path"]) as saved:
        assert saved.getnframes() / saved.getframerate() == pytest.approx(said["duration_s"], abs=0.001)


async def test_the_error_of_what_is_no_audio_keeps_its_code(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(Behaviour.web_page())
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,))
    async with connected(house) as client:
        result = await say(client, "Hello.")
    assert result.structured_content["error"] == "not_audio"
