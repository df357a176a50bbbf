"""The user speaks while the agent does: headphones on, a real microphone, a real sound card."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.server.hearing_server import write_wav
from tests.server.listening_room import WAIT_S, Prompted, Room, converse, said_when, saying, until
from tests.server.listening_room import room as room
from tests.support.behaviour import Behaviour
from tests.support.corpus import Disturbance
from tests.support.house import exchanges
from tests.support.spoken import heard_share, phrases, said, silence
from tests.support.waiting import eventually_async
from voice_mcp.events import EventType
from voice_mcp.server import create_server

pytestmark = [pytest.mark.anyio, pytest.mark.pulse]

WHILE_IT_SPEAKS = (EventType.TTS_FIRST_AUDIO, EventType.RECORDING_START)
LONG = "This message has many words and goes on for a good while, so that there is time enough to interrupt it. " * 2


async def test_who_speaks_silences_the_agent_and_is_heard_from_the_first_syllable(room: Room) -> None:
    speech = phrases(number=1)[1]
    async with Client(create_server(room.house(barge_in="headphones"))) as client:
        speaking = asyncio.ensure_future(said_when(room, speech, *WHILE_IT_SPEAKS))
        result = await converse(client, message=LONG)
        await speaking

    assert (result["status"], result["response"]) == ("interrupted", "Change the port to eight thousand")
    spoken = result["spoken"]
    assert spoken["status"] == "interrupted"
    assert f"{spoken['heard']} {spoken['unheard']}".split() == LONG.split()
    assert len(spoken["unheard"]) > len(LONG) / 2
    assert heard_share(speech, room.heard[-1]) > 0.9
    assert room.card.recorders() == set()


async def test_a_noise_does_not_stop_the_agent(room: Room) -> None:
    cough = Disturbance("table", "coughs", 5).sound().pcm[: 2 * 16_000 * 4]
    async with Client(create_server(room.house(barge_in="headphones"))) as client:
        coughing = asyncio.ensure_future(said_when(room, cough, *WHILE_IT_SPEAKS))
        result = await converse(client, Prompted(lambda: room.microphone.say(said())), message=LONG)
        await coughing

    assert result["status"] == "answered"
    assert result["spoken"]["status"] == "completed"
    assert "heard" not in result["spoken"]


async def test_a_voice_without_words_is_a_false_alarm_and_every_word_is_heard(room: Room) -> None:
    room.endpoint.hear_next("", "")
    hum = phrases(number=2)[0]
    async with Client(create_server(room.house(barge_in="headphones"))) as client:
        humming = asyncio.ensure_future(said_when(room, hum, *WHILE_IT_SPEAKS))
        result = await converse(client, Prompted(lambda: None, lambda: room.microphone.say(said())), message=LONG)
        await humming

    assert result["spoken"]["status"] == "completed"
    assert [event.data.get("resumed") for event in room.events.of(EventType.BARGE_IN)] == [None, True]
    (spoken,) = [line for line in exchanges(room.folder) if line["type"] == "tts"]
    assert spoken["metadata"]["status"] == "completed"


async def test_without_it_the_agent_speaks_to_the_end(room: Room) -> None:
    async with Client(create_server(room.house())) as client:
        talking = asyncio.ensure_future(said_when(room, said(), EventType.TTS_FIRST_AUDIO))
        result = await converse(client, message="A few words, said to their end.")
        await talking

    assert result["spoken"]["status"] == "completed"


async def test_where_the_agent_would_interrupt_itself_it_says_so_and_speaks_on(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pywebrtc_audio", None)
    async with Client(create_server(room.house(barge_in="on"))) as client:
        result = await converse(client, Prompted(lambda: room.microphone.say(said())), message="A few words.")

    assert result["status"] == "answered"
    assert 'pip install "voice-mcp[aec]"' in result["note"]


async def test_a_failure_while_somebody_interrupts_ends_the_message_and_gives_up_the_floor(room: Room) -> None:
    house = room.house(barge_in="headphones", turn_model="smart_turn")  # whose weights are not there
    async with Client(create_server(house)) as client:
        speaking = asyncio.ensure_future(said_when(room, said(), *WHILE_IT_SPEAKS))
        result = await converse(client, message=LONG)
        await speaking
        with anyio.fail_after(WAIT_S / 2):
            after = await client.call_tool("speak", {"message": "Next."})

    assert (result["status"], result["spoken"]["status"]) == ("spoken", "interrupted")
    assert f"{result['spoken']['heard']} {result['spoken']['unheard']}".split() == LONG.split()
    assert "models install" in result["note"]
    assert after.structured_content is not None
    assert after.structured_content["status"] == "completed"


async def test_what_is_said_to_another_agent_does_not_answer_a_question_that_waits_for_the_floor(room: Room) -> None:
    speech, house = said(number=3), room.house(barge_in="headphones")
    async with Client(create_server(house)) as client:
        await client.call_tool("speak", {"message": LONG, "wait": False, "conversation_id": "other"})
        await until(room, EventType.TTS_FIRST_AUDIO)
        talking = asyncio.ensure_future(said_when(room, said(number=1), EventType.FLOOR_WAIT))
        result = await converse(client, Prompted(saying(room, speech)), message="Shall I delete it?")
        await talking

    assert (result["status"], result["spoken"]["status"]) == ("answered", "completed")
    kinds = [event.event_type for event in room.events.events]
    assert kinds.index(EventType.RECORDING_START) > kinds.index(EventType.TTS_PLAYBACK_END), "while the other spoke"
    assert heard_share(speech, room.heard[0]) > 0.9


async def test_two_questions_at_once_are_asked_and_answered_one_after_the_other(room: Room) -> None:
    async with Client(create_server(room.house(barge_in="headphones"))) as client:
        first, second = await asyncio.gather(
            converse(client, Prompted(saying(room, said())), message="First?", conversation_id="one"),
            converse(client, Prompted(saying(room, said())), message="Second?", conversation_id="two"),
        )

    assert [each["status"] for each in (first, second)] == ["answered"] * 2
    assert "note" not in first
    assert "note" not in second


async def test_a_microphone_that_could_not_be_opened_while_the_agent_spoke_is_tried_again(room: Room) -> None:
    house = room.house(barge_in="headphones")
    async with Client(create_server(house)) as client:
        assert house.microphone is not None
        held = await house.microphone.open()
        call = asyncio.ensure_future(converse(client, Prompted(saying(room, said())), message=LONG))
        await until(room, EventType.TTS_FIRST_AUDIO)
        await held.aclose()
        assert (await call)["status"] == "answered"


async def test_a_microphone_that_was_lost_while_the_agent_spoke_is_opened_again_for_the_answer(
    room: Room, tmp_path: Path
) -> None:
    file, away = tmp_path / "user.wav", tmp_path / "away.wav"
    write_wav(file, silence(2.0) + said() + silence(0.5))
    house = room.house(audio_input="file", input_device=str(file), barge_in="headphones", device_wait_s=0.2)
    position_s = 0.0

    async def follow(progress: float, total: float | None, message: str | None) -> None:
        nonlocal position_s
        position_s = progress

    async with Client(create_server(house)) as client:
        with anyio.fail_after(WAIT_S):
            call = asyncio.ensure_future(client.call_tool("converse", {"message": LONG}, progress_callback=follow))
            for kind in WHILE_IT_SPEAKS:
                await until(room, kind)
            file.rename(away)
            assert house.microphone_process_id is not None
            os.kill(house.microphone_process_id, signal.SIGKILL)
            await eventually_async(lambda: position_s > 5.0, WAIT_S, "a microphone that is given up")
            away.rename(file)
            result = (await call).structured_content

    assert result is not None
    assert (result["status"], result["spoken"]["status"]) == ("answered", "completed")


async def test_nobody_speaks_between_an_interruption_and_its_answer(room: Room) -> None:
    async with Client(create_server(room.house(barge_in="headphones"))) as client:
        speaking = asyncio.ensure_future(said_when(room, said(), *WHILE_IT_SPEAKS))
        call = asyncio.ensure_future(converse(client, message=LONG))
        await until(room, EventType.TTS_FIRST_AUDIO)
        other = {"message": LONG, "wait": False, "conversation_id": "other", "urgency": "now"}
        await client.call_tool("speak", other)
        result = await call
        assert room.seen(EventType.FLOOR_ACQUIRED) == 1
        await speaking

    assert (result["status"], result["response"]) == ("interrupted", "Change the port to eight thousand")


async def test_whoever_speaks_in_a_pause_made_by_a_key_does_not_end_it(room: Room) -> None:
    house = room.house(barge_in="headphones")
    async with Client(create_server(house)) as client:
        call = asyncio.ensure_future(converse(client, Prompted(saying(room, said())), message=LONG))
        for kind in WHILE_IT_SPEAKS:
            await until(room, kind)
        assert (await house.controls.pause()).obeyed
        on_the_phone = room.microphone.say(said(number=1) + silence(1.0))
        await asyncio.to_thread(on_the_phone.over_s, WAIT_S)
        assert house.controls.status()["speaking"]["paused"] is True
        assert (await house.controls.resume()).obeyed
        result = await call

    assert room.seen(EventType.BARGE_IN) == 0
    assert (result["status"], result["spoken"]["status"]) == ("answered", "completed")


async def test_words_said_while_a_voice_without_words_is_looked_into_interrupt_as_well(room: Room) -> None:
    hum, speech = phrases(number=5)[0], phrases(number=0)[1]

    def go_on() -> None:
        room.endpoint.always_hear("Change the port to eight thousand")
        room.microphone.say(speech)

    room.endpoint.always_hear(Behaviour.hearing("", after_s=4.0))
    told = Prompted(on_understanding=go_on)
    async with Client(create_server(room.house(barge_in="headphones", stream_stall_timeout=10.0))) as client:
        humming = asyncio.ensure_future(said_when(room, hum, *WHILE_IT_SPEAKS))
        result = await converse(client, told, message=LONG)
        await humming

    assert (result["status"], result["response"]) == ("interrupted", "Change the port to eight thousand")
    assert heard_share(speech, room.heard[-1]) > 0.9
    assert [event.data.get("resumed") for event in room.events.of(EventType.BARGE_IN)] == [None]
