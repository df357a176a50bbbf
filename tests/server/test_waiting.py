"""A call whose turn has not come: its captions say so, it may be given up, and others' dialogues come to their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitResult

from tests.storage.children import kill_after_first_line
from tests.support.house import exchanges, make_house
from tests.support.speaking import LONGEST_S
from tests.support.waiting import eventually_async
from voice_mcp.core.floor import LAST_SOUND_S
from voice_mcp.core.utterance import RESERVATION_S
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server
from voice_mcp.storage.locking import locked

pytestmark = pytest.mark.anyio

SPEAKER = """
import asyncio, sys
from pathlib import Path
from voice_mcp.clock import SystemClock
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.room import FolderRoom
from voice_mcp.types import Claim, Urgency

async def main():
    clock = SystemClock()
    room = FolderRoom(DataRoot(Path(sys.argv[1])), "null default", clock)
    standing = await room.advance([Claim("dead", Urgency.NORMAL, clock.now())])
    print(standing.granted, flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


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


async def test_after_a_server_was_killed_that_spoke_nothing_is_heard_until_its_last_sound_is_over(
    tmp_path: Path,
) -> None:
    events = EventRecorder()
    async with Client(create_server(make_house(tmp_path, audio_output="null", events=events))) as client:
        with anyio.fail_after(LONGEST_S):
            await client.call_tool("speak", {"message": "First, with all that takes time."})
            assert "dead" in await anyio.to_thread.run_sync(kill_after_first_line, SPEAKER, str(tmp_path))
            await client.call_tool("speak", {"message": "Next."})
    turn, heard = events.of(EventType.FLOOR_ACQUIRED)[1], events.of(EventType.TTS_PLAYBACK_START)[1]
    assert (heard.timestamp - turn.timestamp).total_seconds() >= LAST_SOUND_S


async def test_nobody_waits_for_the_recording_of_what_was_said_before(tmp_path: Path) -> None:
    events = EventRecorder()
    house = make_house(tmp_path, audio_output="null", save_audio=True, events=events)
    async with Client(create_server(house)) as client:
        with anyio.fail_after(LONGEST_S), locked(house.root.make(house.root.audio)):
            answer = await client.call_tool("speak", {"message": "Hm."})
    assert answer.structured_content is not None
    assert "locked by another process" in answer.structured_content["note"]
    (released,) = events.of(EventType.FLOOR_RELEASED)
    assert released.data["held_s"] < RESERVATION_S


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
