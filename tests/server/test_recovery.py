"""What happens after something went wrong in the middle: nothing is lost, nothing is invented, nothing is left open."""

from __future__ import annotations

import asyncio
import wave
from array import array
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.exchange import Exchange
from tests.support.house import exchanges, make_house
from tests.support.pattern import pattern, spoken
from tests.support.ports import refusing_port
from tests.support.waiting import eventually_async
from tests.support.wav import wav
from voice_mcp.app import App
from voice_mcp.core.script import Script
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server
from voice_mcp.types import PcmFormat, SpeechStatus

pytestmark = pytest.mark.anyio

WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa"


async def say(house: App, message: str, **arguments: Any) -> Any:
    async with Client(create_server(house)) as client:
        with anyio.fail_after(30):
            return await client.call_tool("speak", {"message": message, **arguments})


def openai_house(base_dir: Path, *endpoints: SpeechEndpoint, **given: Any) -> App:
    urls = tuple(endpoint.base_url for endpoint in endpoints)
    return make_house(base_dir, **{"tts_engine": "openai", "tts_base_urls": urls, **given})


async def test_a_named_voice_is_replaced_each_time_its_endpoint_rests(tmp_path: Path) -> None:
    with refusing_port() as port:
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(f"http://127.0.0.1:{port}/v1",))
        async with Client(create_server(house)) as client:
            for _ in range(2):
                result = await client.call_tool("speak", {"message": "One. Two. Three.", "voice": "alloy"})
                assert not result.is_error, result
                assert "The voice alloy is not available on espeak" in (result.structured_content or {})["note"]


async def test_an_endpoint_that_refuses_every_voice_is_asked_for_each_once(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    def refuse(exchange: Exchange) -> Behaviour:
        return Behaviour.refusing(400, f"Voice '{exchange.json['voice']}' not found.")

    speech_endpoint.always(refuse)
    result = await say(openai_house(tmp_path, speech_endpoint, tts_voices=("verse", "coral")), "Hello.")
    assert result.is_error
    assert [exchange.json["voice"] for exchange in speech_endpoint.speech] == ["verse", "coral", "alloy"]


async def test_a_call_that_is_cancelled_while_the_rest_plays_out_ends_like_any_other(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    events = EventRecorder()
    speech_endpoint.always(Behaviour(cut_after_bytes=90_000, cut_cleanly=True))
    house = openai_house(tmp_path, speech_endpoint, audio_output="null", save_audio=True, events=events)
    async with Client(create_server(house)) as client:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "speak", {"message": WORDS})
            await eventually_async(lambda: len(events.of(EventType.TTS_ERROR)) >= 3, 10.0, "the last failure")
            calls.cancel_scope.cancel()
        await eventually_async(lambda: events.of(EventType.FLOOR_RELEASED), 10.0, "the floor")
    assert len(events.of(EventType.TTS_START)) == len(events.of(EventType.TTS_PLAYBACK_END)) == 1
    (line,) = exchanges(tmp_path)
    with wave.open(str(tmp_path / line["audio_file"])) as saved:
        assert saved.getnframes() == pytest.approx(line["duration_ms"] * 24, abs=24)


async def test_words_of_an_engine_that_broke_off_count_only_as_far_as_it_got(tmp_path: Path) -> None:
    with SpeechEndpoint() as first, SpeechEndpoint() as second:
        first.always(Behaviour(cut_after_bytes=36_000, cut_cleanly=True))
        second.always(Behaviour(cut_after_bytes=4_800, cut_cleanly=True))
        result = await say(openai_house(tmp_path, first, second), WORDS)
    cut = result.structured_content
    assert cut["error"] == "speech_cut_off"
    assert len(cut["heard"].split()) <= 3
    assert f"{cut['heard']} {cut['unheard']}".strip() == WORDS


@pytest.mark.parametrize("body", [b"\x01", b"\0" * 1])
async def test_an_answer_without_one_whole_frame_is_a_failure(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, body: bytes
) -> None:
    speech_endpoint.always(Behaviour(audio=body))
    result = await say(openai_house(tmp_path, speech_endpoint), "Hello.")
    assert result.is_error
    assert "sent no audio" in result.structured_content["message"]


async def test_a_second_try_at_another_rate_goes_on_at_the_right_speed(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    slow, fast = PcmFormat(24_000, 1), PcmFormat(48_000, 1)
    speech_endpoint.then(
        Behaviour(body=wav(pattern(72_000), slow), content_type="audio/wav", cut_after_bytes=72_000, cut_cleanly=True)
    )
    speech_endpoint.always(
        lambda exchange: Behaviour(body=wav(pattern(4_800 * len(exchange.text)), fast), content_type="audio/wav")
    )
    result = await say(openai_house(tmp_path, speech_endpoint), "Three seconds of speech, cut in their middle.")
    rest = speech_endpoint.speech[-1].text
    assert 0 < len(rest) < 45
    assert result.structured_content["duration_s"] == pytest.approx(1.5 + 0.1 * len(rest), abs=0.01)


async def test_another_rate_in_the_middle_is_one_stretch_of_sound_and_one_file(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(cut_after_bytes=60_000, cut_cleanly=True))
    house = openai_house(tmp_path, speech_endpoint, tts_engine="auto")
    result = await say(house, WORDS)
    said = result.structured_content
    assert said["engine"] == "espeak"
    assert said["note"].count("spoke instead") == 1
    (path,) = Path(said["audio_path"]).parent.glob("*.wav")
    with wave.open(str(path)) as saved:
        assert saved.getframerate() == 24_000
        assert saved.getnframes() / 24_000 == pytest.approx(said["duration_s"], abs=0.001)
        # The last 10 ms of what broke off are let fade, or the end in mid-word would click.
        assert saved.readframes(29_760) == spoken(WORDS)[: 2 * 29_760]
        fading, as_sent = array("h", saved.readframes(240)), array("h", spoken(WORDS)[2 * 29_760 : 60_000])
        assert all(abs(heard) <= abs(sent) for heard, sent in zip(fading, as_sent, strict=True))


async def test_the_note_names_all_who_failed_and_only_the_one_who_spoke(tmp_path: Path) -> None:
    with SpeechEndpoint(Behaviour.refusing(500)) as first, SpeechEndpoint(Behaviour.refusing(503)) as second:
        house = openai_house(tmp_path, first, second, tts_engine="auto")
        note = (await say(house, "Hello.")).structured_content["note"]
    assert note.endswith("espeak spoke instead.")
    assert note.count("spoke instead") == 1
    assert "500" in note
    assert "503" in note


async def test_audio_without_end_is_given_up(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(Behaviour(audio=pattern(24_000 * 120)))
    result = await say(openai_house(tmp_path, speech_endpoint), "Hi.")
    assert result.is_error
    assert "s of audio for 3 characters" in result.structured_content["message"]


async def test_a_long_message_is_asked_for_in_growing_pieces(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(Behaviour(audio=pattern(240)))
    message = "This is a sentence of some length. " * 340
    # What is kept of a phrase that comes again and again would not be asked for.
    await say(openai_house(tmp_path, speech_endpoint, tts_cache_mb=0), message)
    texts = [exchange.text for exchange in speech_endpoint.speech]
    assert " ".join(texts).split() == message.split()
    assert len(texts) < 60


async def test_a_speech_that_is_stopped_before_its_first_step_is_on_record_all_the_same(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    script = await asyncio.to_thread(Script.of, "Never begun.")
    manner = house.session.manner(None, None, None)
    speech = house.speaker.start(script, manner, "early", house.clock.now(), lambda position_s, total_s, text: None)
    speech.stop()
    with anyio.fail_after(10):
        result = await speech.result()
        await house.aclose()
    assert result.status is SpeechStatus.INTERRUPTED
    assert (result.heard, result.unheard) == ("", "Never begun.")
    assert exchanges(tmp_path)[0]["metadata"]["status"] == "interrupted"


async def test_an_interrupted_reservation_leaves_no_empty_recording(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null", save_audio=True)
    script = await asyncio.to_thread(Script.of, "Stopped at once.")
    manner = house.session.manner(None, None, None)
    speech = house.speaker.start(script, manner, "early", house.clock.now(), lambda position_s, total_s, text: None)
    await asyncio.sleep(0)
    speech.stop()
    with anyio.fail_after(10):
        result = await speech.result()
        await house.aclose()
    assert result.audio_path is None
    assert [path for path in tmp_path.rglob("*.wav") if path.stat().st_size == 0] == []


async def test_the_loss_of_an_utterances_own_record_is_in_its_own_result(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    house = make_house(blocked / "root", audio_output="null", event_log_enabled=False)
    result = await say(house, "Hello.")
    assert "The conversation log could not be written" in result.structured_content["note"]
