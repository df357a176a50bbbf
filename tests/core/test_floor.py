"""One voice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.waiting import eventually_async
from voice_mcp.clock import SystemClock
from voice_mcp.core.floor import LAST_SOUND_S, Admission, Floor, Hold, NotSaid
from voice_mcp.core.room import OwnRoom
from voice_mcp.types import Claim, Standing, Urgency

pytestmark = pytest.mark.anyio

WAIT_S = 10.0


class Room:
    """A floor, and people who take it by name."""

    def __init__(self, **options: Any) -> None:
        self.floor = Floor(**options)
        self.order: list[str] = []
        self.told: list[int] = []
        self.speaking = 0

    def ask(self, name: str, until: asyncio.Event | None = None, **how: Any) -> asyncio.Task[None]:
        """Somebody who wants to speak, and then speaks until ``until`` is set."""
        conversation = how.pop("conversation", name)
        return asyncio.create_task(self._speak(name, until, conversation, Admission(**how)), name=name)

    async def _speak(self, name: str, until: asyncio.Event | None, conversation: str, how: Admission) -> None:
        async with self.floor.turn(self.told.append, conversation, how):
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


# --- urgency -----------------------------------------------------------------------------------------------------


async def test_questions_come_before_milestones_and_milestones_before_chatter() -> None:
    room, over = Room(), asyncio.Event()
    tasks = [room.ask("speaker", over, urgency=Urgency.WHENEVER)]
    await settle()
    for name, urgency in [("chat", Urgency.WHENEVER), ("milestone", Urgency.NORMAL), ("question", Urgency.NOW)]:
        tasks.append(room.ask(name, urgency=urgency))
    await settle()
    over.set()
    await all_done(*tasks)

    assert room.order == ["speaker", "question", "milestone", "chat"]


async def test_whoever_is_overtaken_is_told() -> None:
    room, over = Room(), asyncio.Event()
    tasks = [room.ask("speaker", over), room.ask("milestone")]
    await settle()
    assert room.told == [1]
    tasks.append(room.ask("question", urgency=Urgency.NOW))
    await settle()
    assert room.told[1:] in ([1, 2], [2, 1])
    over.set()
    await all_done(*tasks)


async def test_chatter_that_nobody_would_hear_in_time_is_not_said() -> None:
    room, over = Room(whenever_s=0.05), asyncio.Event()
    speaker, chatter = room.ask("speaker", over), room.ask("chat", urgency=Urgency.WHENEVER)
    with pytest.raises(NotSaid, match=r"within 0\.05 s"):
        await asyncio.wait_for(chatter, WAIT_S)
    assert room.floor.waiting == 0
    over.set()
    await all_done(speaker)

    assert room.order == ["speaker"]
    assert not room.floor.is_held


async def test_of_several_that_are_chatter_only_the_newest_is_said() -> None:
    room, over = Room(), asyncio.Event()
    speaker = room.ask("speaker", over)
    await settle()
    chatter = [room.ask(name, urgency=Urgency.WHENEVER) for name in "abc"]
    await settle()
    over.set()
    await asyncio.wait_for(asyncio.wait([speaker, *chatter]), WAIT_S)

    assert room.order == ["speaker", "c"]
    assert [type(task.exception()) for task in chatter] == [NotSaid, NotSaid, type(None)]
    assert "newer" in str(chatter[0].exception())


async def test_chatter_that_is_being_said_is_not_replaced() -> None:
    room, over = Room(whenever_s=0.01), asyncio.Event()
    first = room.ask("a", over, urgency=Urgency.WHENEVER)
    await settle()
    second = room.ask("b", urgency=Urgency.WHENEVER)
    with pytest.raises(NotSaid):
        await asyncio.wait_for(second, WAIT_S)
    over.set()
    await all_done(first)

    assert room.order == ["a"]


# --- dialogues ---------------------------------------------------------------------------------------------------


class Dialogue:
    """A dialogue that lasts until ``over`` is set."""

    def __init__(self, room: Room, conversation: str = "talk") -> None:
        self.over = asyncio.Event()
        self.hold: Hold | None = None
        self.task = asyncio.create_task(self._last(room, conversation))

    async def _last(self, room: Room, conversation: str) -> None:
        async with room.floor.hold(conversation, room.told.append) as self.hold:
            await self.over.wait()


async def test_a_dialogue_is_not_torn_apart() -> None:
    room = Room(linger_s=WAIT_S)
    dialogue = Dialogue(room)
    await settle()
    other = room.ask("other", urgency=Urgency.NOW)
    question = room.ask("question", conversation="talk", hold=dialogue.hold)
    await all_done(question)
    assert room.order == ["question"]
    dialogue.over.set()
    await all_done(dialogue.task)
    await settle()
    assert room.order == ["question"]
    await all_done(room.ask("thanks", conversation="talk"))
    await all_done(other)

    assert room.order == ["question", "thanks", "other"]
    assert not room.floor.is_held


async def test_a_question_keeps_the_floor_for_its_answer() -> None:
    room = Room(linger_s=WAIT_S)
    question = room.ask("question", conversation="talk", is_question=True)
    other = room.ask("other")
    await all_done(question)
    dialogue = Dialogue(room)
    await settle()
    assert dialogue.hold is not None
    assert room.order == ["question"]
    dialogue.task.cancel()
    await all_done(dialogue.task, other)

    assert room.order == ["question", "other"]


async def test_after_a_while_the_floor_goes_to_others() -> None:
    room = Room(linger_s=0.02)
    dialogue = Dialogue(room)
    await settle()
    other = room.ask("other")
    dialogue.over.set()
    await all_done(dialogue.task, other)

    assert room.order == ["other"]
    assert not room.floor.is_held


async def test_a_dialogue_that_goes_on_is_not_ended_by_the_while_of_the_one_before() -> None:
    room = Room(linger_s=0.05)
    first = Dialogue(room)
    await settle()
    first.over.set()
    await all_done(first.task)
    second, other = Dialogue(room), room.ask("other")
    await settle()
    assert second.hold is first.hold
    never = asyncio.Event()
    with suppress(TimeoutError):
        await asyncio.wait_for(never.wait(), 0.1)  # longer than the while of the first
    assert room.order == []
    second.over.set()
    await all_done(second.task, other)

    assert room.order == ["other"]


async def test_a_dialogue_that_is_cancelled_lets_go_at_once() -> None:
    room = Room(linger_s=WAIT_S)
    dialogue = Dialogue(room)
    await settle()
    other = room.ask("other")
    dialogue.task.cancel()
    await all_done(dialogue.task, other)

    assert room.order == ["other"]
    assert not room.floor.is_held


async def test_what_is_still_being_said_when_a_dialogue_is_cancelled_falls_silent_first() -> None:
    room, over = Room(linger_s=WAIT_S), asyncio.Event()
    dialogue = Dialogue(room)
    await settle()
    question, other = room.ask("question", over, conversation="talk", hold=dialogue.hold), room.ask("other")
    await settle()
    dialogue.task.cancel()
    await all_done(dialogue.task)
    await settle()
    assert room.order == ["question"]
    over.set()
    await all_done(question, other)

    assert room.order == ["question", "other"]


async def test_two_who_speak_within_a_dialogue_speak_one_after_the_other() -> None:
    room, over = Room(linger_s=0.01), asyncio.Event()
    dialogue = Dialogue(room)
    await settle()
    tasks = [room.ask(name, over, conversation="talk", hold=dialogue.hold) for name in "ab"]
    await settle()
    assert room.order == ["a"]
    over.set()
    dialogue.over.set()
    await all_done(*tasks, dialogue.task)

    assert room.order == ["a", "b"]


async def test_a_dialogue_without_end_gives_way_and_what_it_says_later_waits_its_turn() -> None:
    room, over = Room(longest_hold_s=0.02, linger_s=WAIT_S), asyncio.Event()
    dialogue = Dialogue(room)
    await settle()
    other = room.ask("other", over)
    await asyncio.wait_for(eventually_told(room, "other"), WAIT_S)
    late = room.ask("late", conversation="talk", hold=dialogue.hold)
    await settle()
    assert room.order == ["other"]
    over.set()
    await all_done(other, late)
    dialogue.over.set()
    await all_done(dialogue.task)

    assert room.order == ["other", "late"]
    assert not room.floor.is_held


async def test_a_dialogue_is_not_interrupted_in_the_middle_of_its_words() -> None:
    room, over = Room(longest_hold_s=0.02, linger_s=WAIT_S), asyncio.Event()
    dialogue = Dialogue(room)
    await settle()
    question, other = room.ask("question", over, conversation="talk", hold=dialogue.hold), room.ask("other")
    await settle()
    assert dialogue.hold is not None
    await eventually_async(lambda: dialogue.hold is not None and dialogue.hold.overdue, WAIT_S)
    assert room.order == ["question"]
    over.set()
    await all_done(question, other)

    assert room.order == ["question", "other"]
    dialogue.task.cancel()


async def test_closing_lets_go_of_a_floor_that_is_only_kept() -> None:
    room = Room(linger_s=WAIT_S)
    dialogue = Dialogue(room)
    await settle()
    dialogue.over.set()
    await all_done(dialogue.task)
    assert room.floor.is_held
    await room.floor.aclose(WAIT_S)
    assert not room.floor.is_held


async def eventually_told(room: Room, name: str) -> None:
    """Wait until ``name`` speaks."""
    await eventually_async(lambda: name in room.order, WAIT_S)


async def test_a_dialogue_that_has_just_gone_on_when_its_time_is_over_is_not_interrupted() -> None:
    limit_s = 0.05
    room, loop = Room(longest_hold_s=limit_s, linger_s=WAIT_S), asyncio.get_running_loop()
    dialogue, over = Dialogue(room), asyncio.Event()
    await settle()
    due_s = loop.time() + limit_s
    thanks, other = room.ask("thanks", over, conversation="talk"), room.ask("other")
    await settle()
    dialogue.over.set()
    while loop.time() < due_s:
        """The loop is busy: what goes on and what is due come in one round of it."""
    await all_done(dialogue.task)
    await settle()
    assert room.order == ["thanks"]
    over.set()
    await all_done(thanks, other)

    assert room.order == ["thanks", "other"]


# --- other processes ---------------------------------------------------------------------------------------------


class Others(OwnRoom):
    """A room with other processes in it, and with troubles of its own."""

    def __init__(self, *, in_front: int = 0, died: bool = False, refusals: int = 0) -> None:
        super().__init__(SystemClock())
        self.in_front = in_front
        self.died = died
        self.refusals = refusals
        self.looks_s: list[float] = []

    async def advance(self, waiting: Sequence[Claim]) -> Standing:
        self.looks_s.append(asyncio.get_running_loop().time())
        if self.in_front:
            return Standing(None, dict.fromkeys(waiting, self.in_front))
        return replace(await super().advance(waiting), died=self.died)

    async def leave(self, claims: Sequence[Claim]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("can't start new thread")
        await super().leave(claims)

    @property
    def is_taken(self) -> bool:
        return self._holder is not None

    def saw(self, looks: int) -> bool:
        return len(self.looks_s) >= looks


async def test_after_a_death_the_next_one_has_the_floor_at_once_and_is_heard_when_it_is_quiet() -> None:
    floor, loop = Floor(Others(died=True)), asyncio.get_running_loop()
    asked_s = loop.time()
    async with floor.turn(lambda in_front: None):
        has_it_s = loop.time()
        await floor.until_quiet()
        quiet_s = loop.time()
        await floor.until_quiet()
        assert loop.time() - quiet_s < LAST_SOUND_S, "it waits once"
    assert quiet_s - has_it_s > quiet_s - asked_s - LAST_SOUND_S / 2, "it had the floor before"
    assert quiet_s - asked_s >= LAST_SOUND_S


async def test_a_dialogue_after_a_death_begins_when_it_is_quiet() -> None:
    floor, loop = Floor(Others(died=True)), asyncio.get_running_loop()
    asked_s = loop.time()
    async with floor.hold("talk", lambda in_front: None):
        assert loop.time() - asked_s >= LAST_SOUND_S


@pytest.mark.parametrize(("in_front", "every_s"), [(2, 0.04), (3, 0.2), (49, 0.2)])
async def test_those_further_back_look_seldom(in_front: int, every_s: float) -> None:
    others = Others(in_front=in_front)
    room = Room(room=others)
    waiting = room.ask("a")
    await eventually_async(lambda: others.saw(3), WAIT_S)
    assert others.looks_s[2] - others.looks_s[1] > 0.9 * every_s
    waiting.cancel()
    await all_done(waiting)


async def test_whoever_waits_for_his_own_process_is_seen_to_wait() -> None:
    others, over = Others(), asyncio.Event()
    room = Room(room=others)
    speaker, waiting = room.ask("a", over), room.ask("b")
    await settle()
    looks = len(others.looks_s)
    await eventually_async(lambda: others.saw(looks + 1), WAIT_S)
    over.set()
    await all_done(speaker, waiting)


async def test_a_floor_that_could_not_be_handed_back_is_handed_back_later() -> None:
    room = Room(room=Others(refusals=1))
    await all_done(room.ask("a"))
    await eventually_async(lambda: not room.floor.is_busy, WAIT_S)
    await all_done(room.ask("b"))

    assert room.order == ["a", "b"]


async def test_nobody_has_to_come_for_a_floor_to_be_handed_back() -> None:
    others = Others(refusals=1)
    await all_done(Room(room=others).ask("a"))
    await eventually_async(lambda: not others.is_taken, WAIT_S)


# --- other programs ----------------------------------------------------------------------------------------------


class Music:
    """A ``Ducking`` that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def lower(self) -> None:
        self.told.append("lower")

    def restore(self) -> None:
        self.told.append("restore")


async def test_others_are_lowered_with_the_floor_and_restored_with_it() -> None:
    music = Music()
    room = Room(linger_s=0.01, ducking=music)
    await all_done(room.ask("a"))
    assert music.told == ["lower", "restore"]
    dialogue = Dialogue(room)
    await settle()
    await all_done(room.ask("question", conversation="talk", hold=dialogue.hold))
    assert music.told[2:] == ["lower"]
    dialogue.task.cancel()
    await all_done(dialogue.task)
    assert music.told[2:] == ["lower", "restore"]
