"""The user speaks while the agent does: headphones on, a real microphone, a real sound card."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mcp import Client

from tests.server.listening_room import Prompted, Room, converse, said_when
from tests.server.listening_room import room as room
from tests.support.behaviour import Behaviour
from tests.support.corpus import Disturbance
from tests.support.house import exchanges
from tests.support.spoken import heard_share, phrases, said
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
