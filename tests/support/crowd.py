"""Many agents in one room, some of whom are killed; and what has to be true of them afterwards."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.waiting import eventually
from voice_mcp.types import Claim, Urgency

ROOT = Path(__file__).parents[2]
START_S = 240.0
JUST_CAME_S = 0.5
"""Whoever came so shortly before somebody else, or before somebody got the floor, may have come after him: on a busy
machine the moment that is told and the moment that counts lie that far apart."""


@dataclass(slots=True)
class Said:
    """One message, from its asking to its end; moments are seconds on the clock that all processes share."""

    number: int
    process_id: int
    urgency: Urgency = Urgency.NORMAL
    asked_s: float = 0.0
    claimed_s: float | None = None
    """When its text was ready and it came into the row; known of those who got the floor."""
    acquired_s: float | None = None
    began_s: float | None = None
    """When its first frame left for the card."""
    released_s: float | None = None
    ended_s: float = float("inf")
    status: str | None = None
    """None when its process did not live to tell."""
    heard: str | None = None
    underruns: int = 0

    def is_as_told(self, times_heard: int) -> bool:
        """Whether its process told the truth: it was heard once, or that nothing of it was."""
        if self.status == "completed":
            return times_heard == 1
        return (self.status, self.heard, times_heard) == ("interrupted", "", 0)

    def rank(self, now_s: float) -> tuple[int, float, str]:
        """What it was in the row."""
        return Claim(str(self.number), self.urgency, self.claimed_s or self.asked_s).rank(now_s)


@dataclass(slots=True)
class _Member:
    process: subprocess.Popen[str]
    reader: threading.Thread | None = None
    ready: bool = False
    killed_s: float | None = None
    dead_s: float = 0.0
    said: dict[int, Said] = field(default_factory=dict)


class Crowd:
    """So many processes with so many messages each. Use it as a context manager.

    Args:
        base_dir: The data root they share.
        env: How they speak.
        members: How many processes.
        messages: How many messages each.
        seed: Decides what is left to chance.
    """

    def __init__(self, base_dir: Path, env: Mapping[str, str], members: int, messages: int, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._members: list[_Member] = []
        self.began_s = 0.0
        for index in range(members):
            command = [sys.executable, "-m", "tests.support.crowd_member"]
            process = subprocess.Popen(
                [*command, str(index * messages), str(messages), str(seed + index)],
                cwd=ROOT,
                env={**os.environ, **env, "VOICEMODE_BASE_DIR": str(base_dir), "VOICEMODE_TTS_ENGINE": "tone"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
            member = _Member(process)
            member.reader = threading.Thread(target=self._read, args=(member,), daemon=True)
            member.reader.start()
            self._members.append(member)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *error: object) -> None:
        for member in self._members:
            member.process.kill()
            member.process.wait()
            assert member.reader is not None
            member.reader.join()
            for stream in (member.process.stdin, member.process.stdout):
                if stream is not None:
                    stream.close()

    def begin(self) -> None:
        """Let all of them begin, once all are ready."""
        eventually(lambda: all(member.ready for member in self._members), START_S, "everybody's start")
        self.began_s = time.perf_counter()
        for member in self._members:
            assert member.process.stdin is not None
            member.process.stdin.write("\n")
            member.process.stdin.flush()

    def kill_some(self, count: int, timeout_s: float) -> None:
        """Kill so many, each while it speaks: chance decides which and when."""
        for _ in range(count):
            due = self._turns() + 1 + self._chance.randrange(3)
            eventually(partial(self._have_spoken, due), timeout_s, "another turn")
            eventually(self._kill_the_speaker, timeout_s, "a speaker")

    def wait(self, timeout_s: float) -> None:
        """Wait for all of them to come to an end."""
        eventually(lambda: all(member.process.poll() is not None for member in self._members), timeout_s, "the end")
        for member in self._members:
            assert member.reader is not None
            member.reader.join(timeout_s)

    @property
    def said(self) -> list[Said]:
        """Every message anybody began, in the order in which they were asked for."""
        found = [said for member in self._members for said in list(member.said.values())]
        return sorted(found, key=lambda said: said.asked_s)

    @property
    def killed(self) -> set[int]:
        """The processes that were killed."""
        return {member.process.pid for member in self._members if member.killed_s is not None}

    @property
    def turns(self) -> list[Said]:
        """The messages that got the floor, in order."""
        return sorted(
            (said for said in self.said if said.acquired_s is not None), key=lambda said: said.acquired_s or 0
        )

    @property
    def deaths_s(self) -> list[float]:
        """How long after each end of a speaker's process the floor was that of somebody who had waited for it.

        On a busy machine a process takes hundreds of milliseconds to die; until then its lock is its own.
        """
        return [max(0.0, (turn.acquired_s or 0) - dead_s) for dead_s, turn in self._successions()]

    @property
    def silences_s(self) -> list[float]:
        """How long after each such end the first frame of the next one left for the card."""
        return [turn.began_s - dead_s for dead_s, turn in self._successions() if turn.began_s is not None]

    def _successions(self) -> list[tuple[float, Said]]:
        """When each speaker's process was dead, and who had waited and came next."""
        found = []
        for member in self._members:
            died_s = member.killed_s
            spoke = any(said.acquired_s and not said.released_s for said in member.said.values())
            if died_s is None or not spoke:  # it had finished in the moment it was killed
                continue
            next_one = next((turn for turn in self.turns if (turn.acquired_s or 0) > died_s), None)
            if next_one is not None and (next_one.claimed_s or died_s) < died_s:
                found.append((member.dead_s, next_one))
        return found

    @property
    def failed(self) -> list[int]:
        """Processes that ended badly by themselves."""
        return [member.process.pid for member in self._members if member.killed_s is None and member.process.returncode]

    def out_of_turn(self) -> list[tuple[Said, Said]]:
        """Pairs of a message that got the floor and one that had come first, and got it later."""
        turns, wrong = self.turns, []
        for place, said in enumerate(turns):
            now_s = said.acquired_s or 0.0
            for other in turns[place + 1 :]:
                came_s = other.claimed_s or now_s
                theirs, its = other.rank(now_s - JUST_CAME_S), said.rank(now_s)
                if came_s + JUST_CAME_S < now_s and (theirs[0], theirs[1] + JUST_CAME_S) < its[:2]:
                    wrong.append((said, other))
        return wrong

    def overlaps(self) -> list[tuple[Said, Said]]:
        """Pairs of messages that had the floor at the same time."""
        turns = [turn for turn in self.turns if turn.released_s is not None]
        return [
            (one, two)
            for one, two in zip(turns, turns[1:], strict=False)
            if (one.released_s or 0.0) > (two.acquired_s or 0.0)
        ]

    def _turns(self) -> int:
        return len(self.turns)

    def _have_spoken(self, turns: int) -> bool:
        return self._turns() >= turns

    def _kill_the_speaker(self) -> bool:
        for member in self._members:
            speaks = any(said.acquired_s and not said.released_s for said in list(member.said.values()))
            if speaks and member.killed_s is None:
                member.process.kill()
                member.killed_s = time.perf_counter()
                member.process.wait()
                member.dead_s = time.perf_counter()
                return True
        return False

    def _read(self, member: _Member) -> None:
        assert member.process.stdout is not None
        for line in member.process.stdout:
            if line == "ready\n":
                member.ready = True
                continue
            try:
                fact = json.loads(line)
            except ValueError:  # it was killed in the middle of it
                return
            number = fact["number"]
            said = member.said.get(number) or Said(number, member.process.pid)
            at_s = fact["at_s"]
            if fact["moment"] == "asked":
                said.asked_s, said.urgency = at_s, Urgency(fact["urgency"])
                member.said[number] = said
            elif fact["moment"] == "acquired":
                said.acquired_s, said.claimed_s = at_s, at_s - fact["waited_s"]
            elif fact["moment"] == "began":
                said.began_s = at_s
            elif fact["moment"] == "released":
                said.released_s = at_s
            else:
                said.ended_s, said.status, said.heard = at_s, fact["status"], fact["heard"]
                said.underruns = fact["underruns"]
