"""Processes as the system shows them (Linux: /proc): who belongs to whom, and how they stand still for a while."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.waiting import eventually_async

AUDIO, MICROPHONE = "audio_process", "microphone_process"
"""How the processes of a server are called."""


def children(pid: int) -> dict[str, int]:
    """The processes that process ``pid`` has started and that run, by the name of their module."""
    named = {_module(child): child for child in child_pids(pid)}
    return {name: child for name, child in named.items() if name}


def child_pids(pid: int) -> list[int]:
    """The processes that process ``pid`` has started."""
    listed = []
    for children_of_thread in Path(f"/proc/{pid}").glob("task/*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            listed += children_of_thread.read_text().split()
    return [int(number) for number in listed]


async def child(pid: int, name: str) -> int:
    """The child of that name, as soon as there is one."""
    await eventually_async(lambda: name in children(pid), 20.0, f"a {name} of process {pid}")
    return children(pid)[name]


@asynccontextmanager
async def asleep(pids: Iterable[int], seconds: float) -> AsyncIterator[None]:
    """Let processes stand still for so long, as a machine does that is closed; the block runs when they go on."""
    sleepers = tuple(pids)
    for pid in sleepers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), seconds)
    finally:
        for pid in sleepers:
            with suppress(ProcessLookupError):  # it was given up meanwhile
                os.kill(pid, signal.SIGCONT)
    yield


def _module(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return ""
    return next((word.decode().rpartition(".")[2] for word in words if word.startswith(b"voice_mcp.")), "")
