"""A call whose turn has not come: its captions say so."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.support.house import make_house
from tests.support.speaking import LONGEST_S
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
