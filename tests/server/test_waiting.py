"""A call whose turn has not come: its captions say so, it may be given up, and others' dialogues come to their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitResult

from tests.support.house import exchanges, make_house
from tests.support.speaking import LONGEST_S
from tests.support.waiting import eventually_async
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio


async def test_the_captions_of_a_call_that_waits_say_so_and_then_what_is_spoken(tmp_path: Path) -> None:
    first_speaks = anyio.Event()
    captions: list[str | None] = []

    async def first_heard(progress: float, total: float | None, message: str | None) -> None:
        first_speaks.set()

    async def second_heard(progress: float, total: float | None, message: str | None) -> None:
        captions.append(message)

    house = make_house(tmp_path, audio_output="null")
    async with Client(create_server(house)) as client:
        with anyio.fail_after(LONGEST_S):
            async with anyio.create_task_group() as calls:

                async def first() -> None:
                    await client.call_tool("speak", {"message": "One two three."}, progress_callback=first_heard)

                calls.start_soon(first)
                await first_speaks.wait()
                await client.call_tool("speak", {"message": "Four five six."}, progress_callback=second_heard)
    assert captions[0] == "waiting for 1 other to finish"
    assert captions[-1] == "Four five six."


async def test_a_call_waits_for_another_server_and_its_captions_say_so(tmp_path: Path) -> None:
    captions: list[str | None] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        captions.append(message)

    events = EventRecorder()
    house = make_house(tmp_path, audio_output="null", events=events)
    other = make_house(tmp_path, audio_output="null")
    async with Client(create_server(house)) as client, Client(create_server(other)) as another:
        with anyio.fail_after(LONGEST_S):
            await another.call_tool("speak", {"message": "One two three.", "wait": False})
            await client.call_tool("speak", {"message": "Four five six."}, progress_callback=heard)
    assert captions[0] == "waiting for 1 other to finish"
    assert captions[-1] == "Four five six."
    (wait,), (turn,) = events.of(EventType.FLOOR_WAIT), events.of(EventType.FLOOR_ACQUIRED)
    assert wait.data == {"in_front": 1, "urgency": "normal"}
    assert turn.data["urgency"] == "normal"
    assert turn.data["waited_s"] > 0.3


async def test_a_call_that_waits_for_another_server_can_be_cancelled(tmp_path: Path) -> None:
    house, other = make_house(tmp_path, audio_output="null"), make_house(tmp_path, audio_output="null")
    waits = anyio.Event()

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        waits.set()

    async with Client(create_server(house)) as client, Client(create_server(other)) as another:
        with anyio.fail_after(LONGEST_S):
            await another.call_tool("speak", {"message": "One two three four five six.", "wait": False})
            async with anyio.create_task_group() as calls:

                async def call() -> None:
                    await client.call_tool("speak", {"message": "Never."}, progress_callback=heard)

                calls.start_soon(call)
                await waits.wait()
                calls.cancel_scope.cancel()
            await client.call_tool("speak", {"message": "Afterwards."})
    (never,) = [line for line in exchanges(tmp_path) if line["text"] == "Never."]
    assert (never["metadata"]["status"], never["metadata"]["heard"]) == ("interrupted", "")


async def test_chatter_that_nobody_waited_for_is_reported_later(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null", whenever_s=0.1)
    async with Client(create_server(house)) as client:
        with anyio.fail_after(LONGEST_S):
            async with house.speaker.floor.turn(lambda in_front: None):
                await client.call_tool("speak", {"message": "By the way.", "wait": False, "urgency": "whenever"})
                await eventually_async(lambda: not house.speaker.queued, LONGEST_S, "the end of its time")
            result = await client.call_tool("speak", {"message": "Next."})
            again = await client.call_tool("speak", {"message": "Next."})
    assert result.structured_content is not None
    assert again.structured_content is not None
    assert result.structured_content["note"] == (
        "An earlier queued message was not said: nobody would listen within 0.1 s."
    )
    assert "note" not in again.structured_content
    (line,) = [line for line in exchanges(tmp_path) if line["text"] == "By the way."]
    assert line["metadata"]["not_said"] == "nobody would listen within 0.1 s"


async def test_nobody_speaks_into_a_dialogue_of_another_server(tmp_path: Path) -> None:
    asked, answered, order = anyio.Event(), anyio.Event(), list[str]()

    async def typing(context: Any, params: Any) -> ElicitResult:
        asked.set()
        await answered.wait()
        order.append("answer")
        return ElicitResult(action="accept", content={"answer": "Yes."})

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        if message == "waiting for 1 other to finish":
            answered.set()
        else:
            order.append("other")

    house, other = make_house(tmp_path, audio_output="null"), make_house(tmp_path, audio_output="null")
    client = Client(create_server(house), mode="legacy", elicitation_callback=typing)
    async with client as asking, Client(create_server(other)) as another:
        with anyio.fail_after(LONGEST_S):
            async with anyio.create_task_group() as calls:
                calls.start_soon(asking.call_tool, "converse", {"message": "Shall I?"})
                await asked.wait()
                await another.call_tool("speak", {"message": "Done.", "urgency": "now"}, progress_callback=heard)
    assert order[0] == "answer"
    assert "other" in order
