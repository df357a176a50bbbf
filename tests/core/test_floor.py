"""One voice at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.floor import Floor

pytestmark = pytest.mark.anyio

WAIT_S = 10.0


class Room:
    """A floor, and people who take it by name."""

    def __init__(self) -> None:
        self.floor = Floor()
        self.order: list[str] = []
        self.told: list[int] = []
        self.speaking = 0

    def ask(self, name: str, until: asyncio.Event | None = None) -> asyncio.Task[None]:
        """Somebody who wants to speak, and then speaks until ``until`` is set."""
        return asyncio.create_task(self._speak(name, until), name=name)

    async def _speak(self, name: str, until: asyncio.Event | None) -> None:
        async with self.floor.turn(self.told.append):
            self.speaking += 1
            assert self.speaking == 1, "two voices at a time"
            self.order.append(name)
            try:
                await (until.wait() if until is not None else asyncio.sleep(0))
            finally:
                self.speaking -= 1


async def settle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def all_done(*tasks: asyncio.Task[None]) -> None:
    async with asyncio.timeout(WAIT_S):
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def test_a_free_floor_is_taken_without_waiting() -> None:
    room = Room()
    await all_done(room.ask("a"))

    assert room.order == ["a"]
    assert room.told == []
    assert not room.floor.is_held


async def test_first_come_is_first_served_and_told_how_many_are_in_front() -> None:
    room, over = Room(), asyncio.Event()
    tasks = [room.ask(name, over) for name in "abcd"]
    await settle()
    assert room.order == ["a"]
    assert room.told == [1, 2, 3]
    assert room.floor.waiting == 3
    over.set()
    await all_done(*tasks)

    assert room.order == list("abcd")
    assert not room.floor.is_held
    assert room.floor.waiting == 0

    room, over = Room(), asyncio.Event()
    first, second = room.ask("a", over), room.ask("b")
    await settle()
    over.set()
    await asyncio.sleep(0)
    third = room.ask("c")
    await all_done(first, second, third)

    assert room.order == ["a", "b", "c"]


async def test_the_floor_is_released_when_its_holder_fails() -> None:
    floor = Floor()
    with pytest.raises(ValueError, match="lost the thread"):
        async with floor.turn(lambda in_front: None):
            raise ValueError("lost the thread")

    assert not floor.is_held


async def test_whoever_gives_up_waiting_is_passed_over() -> None:
    room, over = Room(), asyncio.Event()
    tasks = [room.ask(name, over) for name in "abc"]
    await settle()
    tasks[1].cancel()
    await settle()
    assert room.floor.waiting == 1
    over.set()
    await all_done(*tasks)

    assert room.order == ["a", "c"]
    assert not room.floor.is_held


async def test_a_holder_that_is_cancelled_hands_the_floor_on() -> None:
    room, never = Room(), asyncio.Event()
    first = room.ask("a", never)
    second = room.ask("b")
    await settle()
    first.cancel()
    await all_done(first, second)

    assert room.order == ["a", "b"]
    assert not room.floor.is_held


async def test_a_floor_handed_to_somebody_who_is_cancelled_in_that_moment_goes_to_the_next() -> None:
    floor, order = Floor(), []

    async def wait_for_it(name: str) -> None:
        async with floor.turn(lambda in_front: None):
            order.append(name)

    async with floor.turn(lambda in_front: None):
        tasks = [asyncio.create_task(wait_for_it(name)) for name in "bc"]
        await settle()
    tasks[0].cancel()  # the floor is already his, and he has not yet run
    await all_done(*tasks)

    assert order == ["c"]
    assert not floor.is_held


async def test_a_waiter_cancelled_just_before_the_handing_over_does_not_swallow_the_floor() -> None:
    floor, order = Floor(), []

    async def wait_for_it(name: str) -> None:
        async with floor.turn(lambda in_front: None):
            order.append(name)

    async with floor.turn(lambda in_front: None):
        tasks = [asyncio.create_task(wait_for_it(name)) for name in "bc"]
        await settle()
        tasks[0].cancel()  # he has not noticed yet when the floor is handed on
    await all_done(*tasks)

    assert order == ["c"]
    assert not floor.is_held
    assert floor.waiting == 0


async def test_a_room_that_is_cancelled_as_a_whole_leaves_a_free_floor() -> None:
    room, never = Room(), asyncio.Event()
    tasks = [room.ask(name, never) for name in "abcd"]
    await settle()
    for task in tasks:
        task.cancel()
    await all_done(*tasks)

    assert room.order == ["a"]
    assert not room.floor.is_held
    assert room.floor.waiting == 0


@given(steps=st.lists(st.tuples(st.sampled_from(["cancel", "release", "run"]), st.integers(0, 4)), max_size=25))
def test_whoever_gives_up_whenever_no_floor_is_lost_and_the_order_is_kept(steps: list[tuple[str, int]]) -> None:
    async def scene() -> None:
        room, overs = Room(), [asyncio.Event() for _ in range(5)]
        tasks = [room.ask(str(number), over) for number, over in enumerate(overs)]
        for what, number in steps:
            if what == "cancel":
                tasks[number].cancel()
            elif what == "release":
                overs[number].set()
            else:
                await asyncio.sleep(0)
        for over in overs:
            over.set()
        await all_done(*tasks)
        assert room.order == sorted(room.order)
        assert not room.floor.is_held
        assert room.floor.waiting == 0
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    asyncio.run(scene())
