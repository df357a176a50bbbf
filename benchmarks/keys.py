"""A key: from the command's start, and from the word at the door, to the last sound at the card."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import Figure, median
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from tests.support.waiting import eventually_async
from voice_mcp.control.address import RUN_FOLDER, find_doors
from voice_mcp.control.client import ask
from voice_mcp.control.words import Word

TIMES = 12
STARTS = 15
LONG = "This sentence is one of many and takes its time. " * 12
COMMAND = (sys.executable, "-P", "-m", "voice_mcp")


async def measure() -> list[Figure]:
    """Silence a voice on a real card, again and again, beside a process that does nothing."""
    with PulseCard() as card, tempfile.TemporaryDirectory() as folder:
        env = {**card.env, "VOICEMODE_AUDIO_OUTPUT": "sounddevice"}

        async def command() -> None:
            hush = await asyncio.create_subprocess_exec(
                *(*COMMAND, "hush"), env={"VOICEMODE_BASE_DIR": folder}, stdout=subprocess.DEVNULL
            )
            await hush.wait()

        async def word() -> None:
            await asyncio.to_thread(ask, find_doors(str(Path(folder) / RUN_FOLDER)), Word.HUSH)

        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(StdioServer(Path(folder), env)) for _ in range(2)]
            for server in servers:
                await server.initialize()
                await server.ask("tools/list")
            await eventually_async(lambda: len(find_doors(str(Path(folder) / RUN_FOLDER))) == 2, 20.0)
            from_door = [await _silence(servers[0], card, word) for _ in range(TIMES)]
            from_start = [await _silence(servers[0], card, command) for _ in range(TIMES)]
    alone_s, python_s = _starts("hush"), _starts()
    return [
        Figure("hush, word at the door to last sound, worst", max(from_door) * 1000, "ms", 100, f"of {TIMES}"),
        Figure("the same, median", median(from_door) * 1000, "ms"),
        Figure("hush, start of the command to last sound, median", median(from_start) * 1000, "ms"),
        Figure("the command alone, nothing runs", alone_s * 1000, "ms", None, f"Python {python_s * 1000:.0f} ms"),
    ]


async def _silence(server: StdioServer, card: PulseCard, hush: Callable[[], Awaitable[None]]) -> float:
    """Seconds from the beginning of ``hush`` to the last sample at the card."""
    card.clear()
    call = server.begin_speaking(LONG)
    await server.speaking()
    began_s = time.perf_counter()
    await hush()
    await asyncio.to_thread(card.wait_for_silence, 0.5, 10.0)
    await server.answer(call)
    last_s = card.capture.last_sound_s
    assert last_s is not None
    return last_s - began_s


def _starts(*arguments: str) -> float:
    """Seconds a command takes at best where no server runs; without arguments, an interpreter that does nothing."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        command = (*COMMAND, *arguments) if arguments else (sys.executable, "-P", "-c", "")
        for _ in range(STARTS):
            began_s = time.perf_counter()
            subprocess.run(command, env={"VOICEMODE_BASE_DIR": folder}, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - began_s)
    return min(times)
