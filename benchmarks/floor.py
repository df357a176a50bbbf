"""The floor: what a free one costs, how soon a death frees it, and fifty agents in one room."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.figures import Figure, median, quantile
from tests.support.crowd import Crowd
from tests.support.crowd_words import LOUDEST, Messages, loudest
from tests.support.pulse import FIFO_BYTES, PulseCard
from voice_mcp.clock import SystemClock
from voice_mcp.core.floor import Floor
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.room import FolderRoom
from voice_mcp.types import Urgency

TURNS = 500
DEATHS = 20
MEMBERS, MESSAGES, KILLED = 50, 20, 5
LONGEST_S = 1800.0
HOLD = """
import asyncio, sys
from pathlib import Path
from voice_mcp.clock import SystemClock
from voice_mcp.core.floor import Floor
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.room import FolderRoom

async def main():
    clock = SystemClock()
    async with Floor(FolderRoom(DataRoot(Path(sys.argv[1])), "card", clock), clock).turn(lambda in_front: None):
        print("speaking", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


async def measure(quick: bool = False) -> list[Figure]:
    """One process, two processes, many."""
    with tempfile.TemporaryDirectory() as folder:
        costs = await _free(Path(folder))
        deaths = [await _death(Path(folder)) for _ in range(DEATHS)]
        idle = await _waiting(Path(folder))
    members, messages = (10, 6) if quick else (MEMBERS, MESSAGES)
    crowd = await asyncio.to_thread(_crowd, members, messages)
    return [
        Figure("a free floor, p50", median(costs) * 1000, "ms", 2, f"of {TURNS}"),
        Figure("a free floor, p99", quantile(costs, 0.99) * 1000, "ms"),
        Figure("death of a speaker to the next one's turn, worst", max(deaths) * 1000, "ms", 200, f"of {DEATHS}"),
        Figure("the same, p50", median(deaths) * 1000, "ms", 200),
        Figure("processor time of a process that waits, first in the row", idle * 100, "% of a core"),
        *crowd,
    ]


def _floor(base_dir: Path) -> Floor:
    clock = SystemClock()
    return Floor(FolderRoom(DataRoot(base_dir), "card", clock), clock)


async def _free(base_dir: Path) -> list[float]:
    floor, costs = _floor(base_dir), []
    for _ in range(TURNS):
        asked_s = time.perf_counter()
        async with floor.turn(_ignore):
            costs.append(time.perf_counter() - asked_s)
    return costs


def _speaker(base_dir: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(base_dir)], stdin=pipe, stdout=pipe, encoding="utf-8")
    assert child.stdout is not None
    child.stdout.readline()
    return child


async def _death(base_dir: Path) -> float:
    waits, floor = asyncio.Event(), _floor(base_dir)
    child = await asyncio.to_thread(_speaker, base_dir)

    async def follow() -> float:
        async with floor.turn(lambda in_front: waits.set()):
            await floor.until_quiet()
            return time.perf_counter()

    following = asyncio.create_task(follow())
    await waits.wait()
    killed_s = time.perf_counter()
    child.kill()
    free_s = await following - killed_s
    child.communicate()
    return free_s


async def _waiting(base_dir: Path) -> float:
    """The share of a core that waiting takes."""
    floor, over = _floor(base_dir), asyncio.Event()
    child = await asyncio.to_thread(_speaker, base_dir)

    async def follow() -> None:
        async with floor.turn(_ignore):
            over.set()

    following = asyncio.create_task(follow())
    before_s, began_s = time.process_time(), time.perf_counter()
    await asyncio.wait([following], timeout=5.0)
    share = (time.process_time() - before_s) / (time.perf_counter() - began_s)
    await asyncio.to_thread(child.communicate, "\n")
    await following
    return share


def _crowd(members: int, messages: int) -> list[Figure]:
    words = Messages()
    with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
        env = {**card.env, "VOICEMODE_AUDIO_OUTPUT": "sounddevice", "VOICEMODE_STREAMING_ENABLED": "false"}
        with Crowd(Path(folder), env, members, messages) as crowd:
            crowd.begin()
            crowd.kill_some(KILLED, LONGEST_S)
            crowd.wait(LONGEST_S)
            card.wait_for_silence(0.5, LONGEST_S)
        captured = card.captured()
        if card.fifo_bytes < FIFO_BYTES:
            print(f"the card's pipe holds {card.fifo_bytes} bytes only: it may have dropped sound", file=sys.stderr)
    heard, loose = words.heard(captured)
    counts = Counter(heard)
    said = [one for one in crowd.said if one.process_id not in crowd.killed]
    not_said = [one for one in said if one.status == "interrupted"]
    wrong = [one for one in said if not one.is_as_told(counts[one.number])]
    for one in wrong:
        print(f"heard {counts[one.number]} times: {one}", file=sys.stderr)
    what = f"{members} processes x {messages} messages, {KILLED} killed"
    waits = [(one.acquired_s or 0) - (one.claimed_s or 0) for one in crowd.turns if one.urgency is not Urgency.WHENEVER]
    return [
        Figure("loudest sample at the card, of what one voice reaches", loudest(captured) / LOUDEST, "x", 1, what),
        Figure("messages of living processes not heard once, nor reported", len(wrong), "", 0, f"of {len(said)}"),
        Figure("reported as not said", len(not_said), "", None, "chatter that waited too long"),
        Figure("words in no message", loose, "", 2 * KILLED, "of those who were killed while they spoke"),
        Figure("turns out of turn", len(crowd.out_of_turn()), "", 0, f"of {len(crowd.turns)}"),
        Figure("turns at the same time", len(crowd.overlaps()), "", 0),
        Figure("processes that ended badly by themselves", len(crowd.failed), "", 0),
        *_deaths(crowd),
        Figure("longest wait for the floor", max(waits), "s", None, f"of {len(waits)}, questions and milestones"),
    ]


def _deaths(crowd: Crowd) -> list[Figure]:
    """None where all who were killed had just finished, or nobody waited."""
    spans: list[tuple[str, list[float], float | None]] = [
        ("end of a killed speaker to the next one's turn, worst", crowd.deaths_s, 200),
        ("the same, to the next one's first frame", crowd.silences_s, None),
    ]
    return [Figure(what, max(all_s) * 1000, "ms", bar, f"of {len(all_s)}") for what, all_s, bar in spans if all_s]


def _ignore(in_front: int) -> None:
    """An ``OnWait``."""
