"""The row of those who want to speak through one sound device, as files: one process does not hear another think.

    run/floor/<device>/speaking        locked by whoever has the floor: that lock alone keeps two from speaking at once
    run/floor/<device>/0…-0-3f2a….turn a place in the row, locked for as long as somebody waits there

A name says when somebody came and how urgent it is, so the row is a listing. Whoever comes first in it tries the lock
of ``speaking``. A process that dies loses its locks; the next in the row finds its place unlocked, and removes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voice_mcp.clock import Clock
from voice_mcp.errors import StorageError
from voice_mcp.storage.files import list_folder
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.presence import Presence, clear_newborn, is_locked, is_present, load_locks, read_about
from voice_mcp.types import Claim, Standing, Urgency

logger = logging.getLogger(__name__)

SPEAKING = "speaking"
TROUBLE_S = 2.0
"""How long the lock of the floor cannot be tried, before this process speaks without it."""
TOUCH_EVERY_S = 1.0
"""How often somebody who waits shows that he does; he looks more often."""
STOPPED_S = 5.0
"""Whoever has not shown it for so long is stopped, or hangs: others need not wait for him."""
_NAME = re.compile(r"(\d{20})-([0-2])-([A-Za-z0-9_-]{1,40})\.turn")
_URGENCIES = tuple(Urgency)
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Occupant:
    """Somebody in a room, as others see him."""

    speaking: bool
    """Whether he has the floor; otherwise he waits."""
    urgency: Urgency
    process_id: int | None
    conversation_id: str | None
    project_path: str | None
    since: datetime | None
    """When he got the floor, or began to wait; UTC."""


class FolderRoom:
    """A ``Room`` that is a folder. Where the folder cannot be used it is this process's alone, with one warning.

    Args:
        root: The data root.
        device: What the sound goes to; whoever names the same shares the room.
        clock: Tells who came first.
        project_path: What others are told of this process.
    """

    def __init__(self, root: DataRoot, device: str, clock: Clock, project_path: str | None = None) -> None:
        self.folder = root.path / "run" / "floor" / room_name(device)
        self._root = root
        self._clock = clock
        self._project_path = project_path
        self._places: dict[str, Presence] = {}
        self._speaking: Presence | None = None
        self._holder: Claim | None = None
        self._made = self._warned = False
        self._trouble_since_s: float | None = None
        self._touched_s = 0.0
        self._thread: ThreadPoolExecutor | None = None

    async def prepare(self) -> None:
        """Have everything ready for the first claim."""
        await asyncio.get_running_loop().run_in_executor(self._worker(), self._prepare)

    async def advance(self, waiting: Sequence[Claim]) -> Standing:
        standing = await asyncio.get_running_loop().run_in_executor(self._worker(), self._advance, tuple(waiting))
        if standing.granted is not None:  # who has the floor does not wait for a disk to forget that he waited
            self._have_given_up(standing.granted)
        return standing

    def _have_given_up(self, claim: Claim) -> None:
        try:
            self._worker().submit(self._give_up_places, (claim,))
        except RuntimeError:  # there is no thread to be had
            self._give_up_places((claim,))

    async def leave(self, claims: Sequence[Claim]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._worker(), self._leave, tuple(claims))

    def close(self) -> None:
        """The thread may go; whoever comes all the same gets another. Returns at once."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)

    def _worker(self) -> ThreadPoolExecutor:
        """A thread that is never busy with something else, and does what it gets in the order in which it gets it."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "floor")
        return self._thread

    # --- in the thread -----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        load_locks()
        try:
            self._make_folder()
        except StorageError as exc:
            self._warn(exc)
            return
        try:
            clear_newborn(self.folder)
        except (OSError, StorageError) as exc:
            logger.debug("something is left behind: %s", exc)

    def _make_folder(self) -> None:
        if not self._made:
            self._root.make(self.folder)
            self._made = True

    def _advance(self, waiting: tuple[Claim, ...]) -> Standing:
        try:
            self._make_folder()
        except StorageError as exc:
            return self._advance_alone(waiting, exc)
        try:
            try:
                standing = self._advance_in_folder(waiting)
            except FileNotFoundError:  # somebody has cleared the folder away
                self._root.make(self.folder)
                standing = self._advance_in_folder(waiting)
        except (OSError, StorageError) as exc:
            # Who finds no descriptor left, say, has not found that nobody else speaks.
            now_s = self._clock.now()
            self._trouble_since_s = now_s if self._trouble_since_s is None else self._trouble_since_s
            alone = now_s - self._trouble_since_s >= TROUBLE_S
            return self._advance_alone(waiting, exc) if alone else Standing()
        self._trouble_since_s = None
        return standing

    def _advance_in_folder(self, waiting: tuple[Claim, ...]) -> Standing:
        mine = {claim.name: claim for claim in waiting}
        row = self._row_with(mine)
        granted, died = self._first_of(row, mine)
        left = [claim for claim in row if claim is not granted]
        in_front = {claim: place + 1 for place, claim in enumerate(left) if claim.name in mine}
        return Standing(granted, in_front, died=died)

    def _row_with(self, mine: dict[str, Claim]) -> list[Claim]:
        """Everybody who waits, those of this process in their places."""
        for name, claim in mine.items():
            if name not in self._places:
                self._take_place(claim)
        self._touch_places()
        row = {claim.name: claim for claim in _waiting_in(self.folder)}
        for name in (self._places.keys() & mine.keys()) - row.keys():  # cleared away
            self._places.pop(name).abandon()
            self._take_place(mine[name])
        now_s = self._clock.now()
        return sorted((row | mine).values(), key=lambda claim: claim.rank(now_s))

    def _first_of(self, row: Sequence[Claim], mine: Mapping[str, Claim]) -> tuple[Claim | None, bool]:
        """Whoever of this process has the floor now; and whether the one before died."""
        for claim in row:
            if claim.name in mine:
                return self._try(claim)
            if self._is_waiting(claim):
                break
        return None, False

    def _is_waiting(self, claim: Claim) -> bool:
        """Whether somebody is in a place of another process, and would take the floor if it were his."""
        path = self.folder / file_name(claim)
        try:
            return is_present(path) and not self._is_stopped(path)
        except (OSError, StorageError):  # what cannot be told of one place must not keep everybody waiting
            return False

    def _touch_places(self) -> None:
        now_s = self._clock.now()
        if now_s - self._touched_s >= TOUCH_EVERY_S:
            self._touched_s = now_s
            for place in self._places.values():
                place.touch()

    def _is_stopped(self, path: Path) -> bool:
        """By the clock that both places have their times from, which may be set while they wait."""
        newest_s = max((place.touched_s for place in self._places.values()), default=None)
        return newest_s is not None and abs(newest_s - path.stat().st_mtime) > STOPPED_S

    def _try(self, claim: Claim) -> tuple[Claim | None, bool]:
        if self._holder is not None:  # not every file system keeps two files of one process apart
            return None, False
        speaking = Presence.take(self.folder / SPEAKING)
        if speaking is None:
            return None, False
        died = speaking.was_abandoned
        speaking.write({**self._about(claim), "place": claim.name})
        self._speaking, self._holder = speaking, claim
        return claim, died

    def _take_place(self, claim: Claim) -> None:
        """Without a place others do not see that somebody waits, and may come first; the next look tries again."""
        try:
            self._places[claim.name] = Presence.make(self.folder / file_name(claim), self._about(claim))
        except FileNotFoundError:
            raise
        except (OSError, StorageError) as exc:
            logger.debug("no place in the row: %s", exc)

    def _give_up_places(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            place = self._places.pop(claim.name, None)
            if place is not None:
                try:
                    place.remove()
                except OSError as exc:  # it is unlocked, and whoever finds it removes it
                    logger.debug("a place is left behind: %s", exc)

    def _leave(self, claims: tuple[Claim, ...]) -> None:
        if self._holder in claims:  # first: somebody may be waiting for it
            speaking, self._speaking, self._holder = self._speaking, None, None
            if speaking is not None:
                speaking.release()
        self._give_up_places(claims)

    def _advance_alone(self, waiting: tuple[Claim, ...], why: Exception) -> Standing:
        """The row without a folder: this process alone."""
        self._warn(why)
        now_s = self._clock.now()
        row = sorted(waiting, key=lambda claim: claim.rank(now_s))
        granted = row.pop(0) if self._holder is None else None
        if granted is not None:
            self._holder = granted
        return Standing(granted, {claim: place + 1 for place, claim in enumerate(row)})

    def _about(self, claim: Claim) -> dict[str, object]:
        return {
            "process_id": os.getpid(),
            "conversation_id": claim.conversation_id or None,
            "project_path": self._project_path,
            "urgency": claim.urgency.value,
            "since": self._clock.utc().isoformat(),
        }

    def _warn(self, exc: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("Other agents may speak at the same time: %s cannot be used: %s", self.folder, exc)


def room_name(device: str) -> str:
    """The folder of a device's room: readable, and of this machine alone, whose home may be another's too."""
    device = device.strip().casefold()
    key = hashlib.sha256(f"{platform.node()}\0{device}".encode("utf-8", "replace")).hexdigest()[:12]
    return f"{re.sub(r'[^a-z0-9]+', '-', device)[:40].strip('-') or 'device'}-{key}"


def file_name(claim: Claim) -> str:
    """The name of a claim's place."""
    return f"{round(claim.since_s * _NS):020d}-{_URGENCIES.index(claim.urgency)}-{claim.name}.turn"


def claims_in(folder: Path) -> Iterator[Claim]:
    """Whose places are there, in no order; some may have died.

    Raises:
        OSError: The folder cannot be listed.
    """
    for name in os.listdir(folder):
        if match := _NAME.fullmatch(name):
            yield Claim(match[3], _URGENCIES[int(match[2])], int(match[1]) / _NS)


def _waiting_in(folder: Path) -> list[Claim]:
    """The same without the one who speaks, whose place is given up only after the floor was granted."""
    speaks = read_about(folder / SPEAKING).get("place")
    return [claim for claim in claims_in(folder) if claim.name != speaks]


def occupants(root: DataRoot, now_s: float) -> dict[str, list[Occupant]]:
    """Who speaks and who waits in each room, in order. Reads files: not for the event loop's thread.

    Args:
        root: The data root.
        now_s: This moment, on the clock of ``Clock.now``.

    Raises:
        StorageError: They cannot be listed.
    """
    return {
        folder.name: list(_occupants_of(folder, now_s))
        for folder in sorted(list_folder(root.path / "run" / "floor"))
        if folder.is_dir()
    }


def _occupants_of(folder: Path, now_s: float) -> Iterator[Occupant]:
    about = read_about(folder / SPEAKING)
    if about and is_locked(folder / SPEAKING):
        yield _occupant(about, speaking=True)
    for claim in sorted(_waiting_in(folder), key=lambda claim: claim.rank(now_s)):
        place = folder / file_name(claim)
        about = read_about(place)
        if is_present(place):
            yield _occupant({"urgency": claim.urgency.value, **about}, speaking=False)


def _occupant(about: Mapping[str, object], *, speaking: bool) -> Occupant:
    process_id, since = about.get("process_id"), about.get("since")
    conversation_id, project_path = about.get("conversation_id"), about.get("project_path")
    return Occupant(
        speaking=speaking,
        urgency=next((urgency for urgency in Urgency if urgency == about.get("urgency")), Urgency.NORMAL),
        process_id=process_id if isinstance(process_id, int) else None,
        conversation_id=str(conversation_id) if conversation_id else None,
        project_path=str(project_path) if project_path else None,
        since=datetime.fromisoformat(since) if isinstance(since, str) else None,
    )
