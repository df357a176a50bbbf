"""The row of those who want to speak, as several processes see it."""

from __future__ import annotations

import logging
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.storage.children import start
from tests.support.waiting import eventually, eventually_async
from voice_mcp.clock import ManualClock, SystemClock
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.presence import Presence
from voice_mcp.storage.room import STOPPED_S, TROUBLE_S, FolderRoom, file_name, occupants, room_name
from voice_mcp.types import PATIENCE_S, Claim, Urgency

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
ANOTHER = """
import asyncio, sys
from pathlib import Path
from voice_mcp.clock import SystemClock
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.room import FolderRoom
from voice_mcp.types import Claim, Urgency

async def main():
    clock = SystemClock()
    room = FolderRoom(DataRoot(Path(sys.argv[1])), "card", clock, "a-project")
    claim = Claim(sys.argv[2], Urgency(sys.argv[3]), clock.now(), "a-conversation")
    told = None
    while (standing := await room.advance([claim])).granted is None:
        if told is None:
            print("waiting", flush=True)
        told = standing
        await asyncio.sleep(0.01)
    print("speaking", standing.died, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await room.leave([claim])

asyncio.run(main())
"""


STARVED = """
import asyncio, resource, sys
from pathlib import Path
from voice_mcp.clock import SystemClock
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.room import STOPPED_S, TROUBLE_S, FolderRoom
from voice_mcp.types import Claim, Urgency

async def main():
    clock = SystemClock()
    room = FolderRoom(DataRoot(Path(sys.argv[1])), "card", clock)
    await room.prepare()
    claim = Claim("mine", Urgency.NORMAL, clock.now())
    sys.stdin.readline()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
    print("starved", flush=True)
    print("waits" if (await room.advance([claim])).granted is None else "speaks", flush=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, most)
    sys.stdin.readline()
    print("waits" if (await room.advance([claim])).granted is None else "speaks", flush=True)

asyncio.run(main())
"""


@contextmanager
def another(base_dir: Path, name: str, urgency: str = "normal") -> Iterator[Popen[str]]:
    """Another process that comes into the room, and speaks until it is written to."""
    child = start(ANOTHER, [str(base_dir), name, urgency])
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def said(child: Popen[str]) -> str:
    """The next line it prints, without what comes after its first word."""
    assert child.stdout is not None
    return child.stdout.readline().partition(" ")[0].strip()


class Row:
    """A room of this process, and a claim in it for each name."""

    def __init__(self, base_dir: Path, clock: Any = None) -> None:
        self.clock = clock or SystemClock()
        self.root = DataRoot(base_dir)
        self.room = FolderRoom(self.root, "card", self.clock, "my-project")
        self.claims: dict[str, Claim] = {}
        self.speaker: Claim | None = None

    def come(self, name: str, urgency: Urgency = Urgency.NORMAL) -> None:
        self.claims[name] = Claim(name, urgency, self.clock.now(), f"of-{name}")

    async def look(self) -> str | None:
        """Whose turn it has become; who gets it waits no longer."""
        granted = (await self.room.advance(tuple(self.claims.values()))).granted
        if granted is None:
            return None
        self.speaker = self.claims.pop(granted.name)
        return self.speaker.name

    async def fall_silent(self) -> None:
        """The speaker leaves."""
        assert self.speaker is not None
        await self.room.leave([self.speaker])
        self.speaker = None


async def test_whoever_comes_first_has_the_floor_until_he_leaves(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("a")
    row.come("b")
    assert await row.look() == "a"
    assert await row.look() is None
    await row.fall_silent()
    assert await row.look() == "b"


async def test_everybody_is_told_how_many_come_first(tmp_path: Path) -> None:
    row = Row(tmp_path)
    for name in "abc":
        row.come(name)
    await row.look()
    standing = await row.room.advance(tuple(row.claims.values()))
    assert {claim.name: count for claim, count in standing.in_front.items()} == {"b": 1, "c": 2}


async def test_the_more_urgent_come_first_and_the_one_who_speaks_is_not_cut(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("speaker")
    assert await row.look() == "speaker"
    row.come("chatter", Urgency.WHENEVER)
    row.come("milestone")
    row.come("question", Urgency.NOW)
    assert await row.look() is None
    order = ["speaker"]
    for _ in range(3):
        await row.fall_silent()
        order.append(str(await row.look()))
    assert order == ["speaker", "question", "milestone", "chatter"]


async def test_whoever_has_waited_long_moves_up(tmp_path: Path) -> None:
    clock = ManualClock(1000.0)
    row = Row(tmp_path, clock)
    row.come("patient")
    clock.advance(PATIENCE_S)
    row.come("question", Urgency.NOW)
    assert await row.look() == "patient"


async def test_one_process_waits_for_another(tmp_path: Path) -> None:
    row = Row(tmp_path)
    with another(tmp_path, "theirs") as other:
        assert said(other) == "speaking"
        row.come("mine")
        assert await row.look() is None
        other.communicate("\n")
    assert await row.look() == "mine"


async def test_another_process_that_came_first_is_served_first(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    with another(tmp_path, "theirs") as other:
        assert said(other) == "waiting"
        row.come("mine")
        await row.fall_silent()
        assert await row.look() is None
        assert said(other) == "speaking"
        assert await row.look() is None
        other.communicate("\n")
    assert await row.look() == "mine"


async def test_whoever_speaks_and_still_has_a_place_is_counted_once(tmp_path: Path) -> None:
    count = SystemClock()
    speaking, waiting = (Claim(name, Urgency.NORMAL, count.now()) for name in ("speaking", "waiting"))
    holder, room = (FolderRoom(DataRoot(tmp_path), "card", count) for _ in range(2))
    assert (await holder.advance([speaking])).granted == speaking
    await holder.leave([])  # the place is given up after the floor was granted: here it is, once more
    place = Presence.make(holder.folder / file_name(speaking))
    assert (await room.advance([waiting])).in_front == {waiting: 1}
    (there,) = occupants(DataRoot(tmp_path), count.now()).values()
    assert [each.speaking for each in there] == [True, False]
    place.remove()
    await room.leave([waiting])
    await holder.leave([speaking])
    for each in (holder, room):
        each.close()


async def test_the_order_of_arrival_does_not_depend_on_what_the_calendar_is_set_to(tmp_path: Path) -> None:
    count, day = SystemClock(), timedelta(days=1)
    first_claim, second_claim = (Claim(name, Urgency.NORMAL, count.now()) for name in ("first", "second"))
    speaking = Claim("speaking", Urgency.NORMAL, count.now() - 1)
    # The process that came first believes that it is tomorrow, the second one that it is yesterday.
    tomorrow, yesterday = (
        SystemClock(machine_utc=partial(lambda at: datetime.now(UTC) + at, at)) for at in (day, -day)
    )
    rooms = [FolderRoom(DataRoot(tmp_path), "card", clock) for clock in (tomorrow, yesterday)]
    holder = FolderRoom(DataRoot(tmp_path), "card", count)
    assert (await holder.advance([speaking])).granted == speaking
    assert (await rooms[1].advance([second_claim])).in_front == {second_claim: 1}
    assert (await rooms[0].advance([first_claim])).in_front == {first_claim: 1}
    await holder.leave([speaking])
    assert (await rooms[1].advance([second_claim])).granted is None
    assert (await rooms[0].advance([first_claim])).granted == first_claim
    await rooms[0].leave([first_claim])
    assert (await rooms[1].advance([second_claim])).granted == second_claim
    await rooms[1].leave([second_claim])
    for room in (holder, *rooms):
        room.close()


async def test_after_an_hour_of_sleep_those_who_waited_are_served_in_their_order(tmp_path: Path) -> None:
    clock = ManualClock(start_s=50.0)
    room = FolderRoom(DataRoot(tmp_path), "card", clock)
    question, first, second = (
        Claim(name, urgency, clock.now() - ago)
        for name, urgency, ago in (("q", Urgency.NOW, 0), ("a", Urgency.NORMAL, 2), ("b", Urgency.WHENEVER, 1))
    )
    clock.advance(3600.0)  # a counter that counts the sleep: everybody has waited for long
    order = []
    waiting = [second, question, first]
    while waiting:
        granted = (await room.advance(waiting)).granted
        assert granted is not None
        order.append(granted.name)
        waiting.remove(granted)
        await room.leave([granted])
    assert order == ["a", "b", "q"], "all are as urgent now as can be, and first come is first served"
    room.close()


async def test_a_question_of_another_process_overtakes(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    row.come("mine")
    with another(tmp_path, "theirs", "now") as other:
        assert said(other) == "waiting"
        await row.fall_silent()
        assert await row.look() is None
        assert said(other) == "speaking"


async def test_a_speaker_that_is_killed_leaves_a_free_floor_and_the_next_is_told(tmp_path: Path) -> None:
    row = Row(tmp_path)
    with another(tmp_path, "theirs") as other:
        assert said(other) == "speaking"
        row.come("mine")
        assert await row.look() is None
        other.kill()
        other.wait(WAIT_S)
    standing = await row.room.advance(tuple(row.claims.values()))
    assert (standing.granted, standing.died) == (row.claims["mine"], True)
    await row.room.leave([row.claims["mine"]])
    row.come("later")
    standing = await row.room.advance([row.claims["later"]])
    assert (standing.granted, standing.died) == (row.claims["later"], False)


async def test_those_who_die_while_they_wait_are_passed_over(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    with another(tmp_path, "theirs") as other:
        assert said(other) == "waiting"
        row.come("mine")
        assert await row.look() is None
        other.kill()
        other.wait(WAIT_S)
    await row.fall_silent()
    assert await row.look() == "mine"
    await row.room.leave([])  # comes after what was still to be done for the one before
    assert sorted(path.name for path in row.room.folder.iterdir()) == ["speaking"]


async def test_a_folder_that_is_cleared_away_is_made_again(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    row.come("second")
    row.come("third")
    assert await row.look() is None
    for path in row.room.folder.iterdir():
        path.unlink()
    await row.fall_silent()
    assert await row.look() == "second"
    for path in row.room.folder.iterdir():
        path.unlink()
    row.room.folder.rmdir()
    await row.fall_silent()
    assert await row.look() == "third"


async def test_somebody_who_leaves_the_row_leaves_nothing_behind(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    row.come("second")
    assert await row.look() == "first"
    await row.room.leave([row.claims.pop("second")])
    await row.fall_silent()
    assert [path.name for path in row.room.folder.iterdir()] == ["speaking"]
    assert await row.room.advance([Claim("third", Urgency.NORMAL, row.clock.now())])


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
async def test_nobody_else_may_look_into_the_room(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    row.come("second")
    await row.look()
    for path in (tmp_path / "run").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
async def test_without_a_usable_folder_the_floor_is_this_processs_alone_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "run").symlink_to(elsewhere)
    row = Row(tmp_path / "root")
    with caplog.at_level(logging.WARNING, "voice_mcp"):
        row.come("a")
        row.come("b")
        assert await row.look() == "a"
        assert await row.look() is None
        await row.fall_silent()
        assert await row.look() == "b"
    assert len(caplog.records) == 1
    assert "Other agents may speak at the same time" in caplog.text
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_a_process_without_descriptors_does_not_speak_while_somebody_else_does(tmp_path: Path) -> None:
    with another(tmp_path, "theirs") as other, start(STARVED, [str(tmp_path)]) as starved:
        assert said(other) == "speaking"
        assert starved.stdin is not None
        starved.stdin.write("\n")
        starved.stdin.flush()
        assert said(starved) == "starved"
        assert said(starved) == "waits"
        other.communicate("\n")
        out, _ = starved.communicate("\n")
        assert out == "speaks\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none below folders")
async def test_what_is_no_place_is_in_nobodys_way_and_lets_nobody_speak_at_the_same_time(tmp_path: Path) -> None:
    row = Row(tmp_path)
    with another(tmp_path, "theirs") as other:
        assert said(other) == "speaking"
        os.mkfifo(row.room.folder / f"{0:020d}-0-nobody.turn")
        row.come("mine")
        assert await row.look() is None
        other.communicate("\n")
    assert await row.look() == "mine"


async def test_without_the_lock_nobody_speaks_at_once_and_nobody_waits_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(1000.0)
    row = Row(tmp_path, clock)
    row.room.folder.mkdir(parents=True)
    (row.room.folder / "speaking").mkdir()
    with caplog.at_level(logging.WARNING, "voice_mcp"):
        row.come("a")
        assert await row.look() is None
        clock.advance(TROUBLE_S / 2)
        assert await row.look() is None
        assert caplog.records == []
        clock.advance(TROUBLE_S / 2)
        assert await row.look() == "a"
    assert len(caplog.records) == 1


async def test_trouble_that_passes_is_forgotten(tmp_path: Path) -> None:
    clock = ManualClock(1000.0)
    row = Row(tmp_path, clock)
    row.room.folder.mkdir(parents=True)
    for name in "ab":
        (row.room.folder / "speaking").mkdir()
        row.come(name)
        assert await row.look() is None
        (row.room.folder / "speaking").rmdir()
        clock.advance(TROUBLE_S)
        assert await row.look() == name
        await row.fall_silent()
        (row.room.folder / "speaking").unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="nobody can be stopped there")
async def test_somebody_who_is_stopped_as_he_waits_keeps_nobody_waiting(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    with another(tmp_path, "theirs") as other:
        assert said(other) == "waiting"
        row.come("mine")
        (theirs,) = row.room.folder.glob("*-theirs.turn")
        other.send_signal(signal.SIGSTOP)
        await row.fall_silent()
        assert await row.look() is None, "he may only be busy"
        stopped_s = theirs.stat().st_mtime - STOPPED_S - 1.0
        os.utime(theirs, (stopped_s, stopped_s))
        assert await row.look() == "mine"
        other.send_signal(signal.SIGCONT)
        await row.fall_silent()
        assert said(other) == "speaking"


async def test_somebody_who_waits_shows_that_he_does(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first")
    assert await row.look() == "first"
    with another(tmp_path, "theirs") as other:
        assert said(other) == "waiting"
        (theirs,) = row.room.folder.glob("*-theirs.turn")
        os.utime(theirs, (0.0, 0.0))
        await eventually_async(lambda: theirs.stat().st_mtime > 0.0, WAIT_S)
        row.come("mine")
        await row.fall_silent()
        assert await row.look() is None
        assert said(other) == "speaking"


async def test_what_was_left_behind_half_made_is_cleared_away(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.room.folder.mkdir(parents=True)
    (row.room.folder / f"{0:020d}-0-killed.turn.0011.new").touch()
    await row.room.prepare()
    assert list(row.room.folder.iterdir()) == []


async def test_everybody_in_a_room_can_be_named(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.come("first", Urgency.NOW)
    assert await row.look() == "first"
    with another(tmp_path, "theirs") as other:
        assert said(other) == "waiting"
        ((speaker, waiter),) = occupants(row.root, row.clock.now()).values()
        assert (speaker.speaking, speaker.urgency, speaker.process_id) == (True, Urgency.NOW, os.getpid())
        assert (speaker.conversation_id, speaker.project_path) == ("of-first", "my-project")
        assert (waiter.speaking, waiter.urgency, waiter.process_id) == (False, Urgency.NORMAL, other.pid)
        assert (waiter.conversation_id, waiter.project_path) == ("a-conversation", "a-project")
        assert speaker.since is not None
        assert waiter.since is not None
        assert speaker.since <= waiter.since
        other.kill()
        other.wait(WAIT_S)
        await row.fall_silent()
        eventually(lambda: occupants(row.root, row.clock.now()) == {row.room.folder.name: []}, WAIT_S)


def test_each_device_has_a_room_of_its_own_however_it_is_written() -> None:
    assert room_name("Speakers") == room_name(" speakers ")
    assert room_name("Speakers") != room_name("Headphones")
    assert room_name("日本") != room_name("中国")
    assert "/" not in room_name("../../etc/passwd")
