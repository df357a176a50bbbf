"""One agent is told from another."""

from __future__ import annotations

import pytest

from voice_mcp.core.agent import Agent, Character

pytestmark = pytest.mark.anyio


class Empty:
    """A ``Roll`` where nobody else is."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    def choose(self, what: str, agent: str, count: int) -> int:
        self.asked.append((what, agent, count))
        return int(agent, 16) % count


async def test_an_agent_that_is_not_to_be_told_apart_has_nothing_of_its_own() -> None:
    roll = Empty()
    assert await Agent("/project", (), 0, roll).character() == Character()
    assert roll.asked == []


async def test_it_chooses_once() -> None:
    roll = Empty()
    agent = Agent("/project", ("one", "two", "one"), 5, roll)
    character = await agent.character()
    agent.client = "another name"
    assert await agent.character() is character
    assert [(what, count) for what, _, count in roll.asked] == [("voice", 2), ("seat", 5)]


async def test_it_is_known_by_its_project_and_its_client() -> None:
    def name(project_path: str, client: str) -> str:
        agent = Agent(project_path, (), 0, Empty())
        agent.client = client
        return agent.name

    assert name("/project", "a host") == name("/project", "a host")
    assert len({name("/project", "a host"), name("/project", "another"), name("/elsewhere", "a host")}) == 3
    assert "project" not in name("/project", "a host")
