"""Several agents: each has its own voice and its own place, in both protocol eras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import Implementation

from tests.support.house import make_house
from voice_mcp.app import App
from voice_mcp.core.seating import SEATS
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

VOICES = ("sine", "square")


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def voice_of(house: App, client_name: str, era: str, **arguments: Any) -> str:
    """In which voice a client of that name speaks."""
    client = Implementation(name=client_name, version="1")
    async with Client(create_server(house), mode=era, client_info=client) as host:
        with anyio.fail_after(20):
            result = await host.call_tool("speak", {"message": "Hi.", **arguments})
    assert result.structured_content is not None
    return str(result.structured_content["voice"])


async def test_an_agent_keeps_its_voice_and_others_have_another(tmp_path: Path, era: str) -> None:
    voices = {}
    for name in ("one", "two", "three", "four", "five", "six"):
        voices[name] = await voice_of(make_house(tmp_path, agent_voices=VOICES), name, era)
        again = await voice_of(make_house(tmp_path, agent_voices=VOICES), name, era)
        assert again == voices[name]
    assert set(voices.values()) == set(VOICES)


async def test_two_agents_that_run_at_the_same_time_have_two_voices(tmp_path: Path, era: str) -> None:
    houses = [make_house(tmp_path, agent_voices=VOICES) for _ in range(2)]
    voices = set()
    async with (
        Client(create_server(houses[0]), mode=era, client_info=Implementation(name="one", version="1")) as one,
        Client(create_server(houses[1]), mode=era, client_info=Implementation(name="two", version="1")) as two,
    ):
        for host in (one, two):
            with anyio.fail_after(20):
                result = await host.call_tool("speak", {"message": "Hi."})
            assert result.structured_content is not None
            voices.add(result.structured_content["voice"])
    assert voices == set(VOICES)


async def test_a_voice_that_is_asked_for_is_the_voice_that_speaks(tmp_path: Path, era: str) -> None:
    for voice in VOICES:
        house = make_house(tmp_path, agent_voices=VOICES)
        assert await voice_of(house, "one", era, voice=voice) == voice


async def test_a_voice_that_no_engine_has_gives_way_to_what_everybody_prefers(tmp_path: Path, era: str) -> None:
    house = make_house(tmp_path, agent_voices=("nobodys",), tts_voices=("square",))
    assert await voice_of(house, "one", era) == "square"


async def test_an_agent_keeps_its_place_and_two_that_run_have_two(tmp_path: Path) -> None:
    places = []
    houses = [make_house(tmp_path, pan="auto") for _ in SEATS]
    for number, house in enumerate(houses):
        house.session.agent.client = f"agent {number}"
        character = await house.session.agent.character()
        assert character.seat is not None
        places.append(character.seat)
    assert sorted(places) == list(range(len(SEATS)))
    for house in houses:
        await house.aclose()
    again = make_house(tmp_path, pan="auto")
    await voice_of(again, "agent 0", "auto")
    assert again.speaker.seating.pan(again.session.conversation_id) == SEATS[places[0]]
