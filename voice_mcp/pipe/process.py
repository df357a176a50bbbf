"""What every audio process is: commands in on standard input, reports out on standard output, a servant in between.

It imports nothing it does not need (no MCP, no HTTP, no numpy), and ends with its parent: when standard input closes,
for whatever reason, it lets go of its device and is gone. The main thread only reads: a sound system that hangs holds
up the device's work, in a thread of its own, and neither a stop nor the end.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread, Timer
from typing import Any, Protocol

from voice_mcp.pipe.wire import Command, Unpacker

READ_BYTES = 1 << 16
LEAVE_S = 1.0
"""How long letting go of the device may take at the end; a sound system that hangs must not keep this process."""

Work = Callable[[], None]
DoDeviceWork = Callable[[Work], None]
"""Has something done that may wait for the sound system: one after the other, in the order given."""


class Send(Protocol):
    """Sends one report to the server, and the bytes that belong to it. Thread: one at a time."""

    def __call__(self, report: dict[str, Any], payload: bytes = b"") -> None: ...


class Servant(Protocol):
    """What a process is for."""

    def obey(self, command: Command, payload: bytes) -> None:
        """Take one command. Thread: main; returns at once."""
        ...

    def close(self) -> None:
        """Let go of everything and send the last reports."""
        ...


def serve(make_servant: Callable[[Send, DoDeviceWork], Servant]) -> None:
    """Serve until standard input ends. Never returns."""
    commands, reports = _claim_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the parent decides what it means
    sys.setswitchinterval(0.001)  # the device's thread must not queue behind 5 ms of somebody else's bytecode
    gc.freeze()
    gc.disable()

    def send(report: dict[str, Any], payload: bytes = b"") -> None:
        if payload:
            report = {**report, "bytes": len(payload)}
        with contextlib.suppress(OSError):  # a parent that is gone is noticed on standard input
            _write_all(reports, json.dumps(report).encode() + b"\n" + payload)

    work: SimpleQueue[Work] = SimpleQueue()
    Thread(target=_do_for_ever, args=(work,), name="device-work", daemon=True).start()
    servant = make_servant(send, work.put)
    unpacker = Unpacker()
    while data := os.read(commands, READ_BYTES):
        for command, payload in unpacker.feed(data):
            servant.obey(command, payload)
    _leave_within(LEAVE_S)
    servant.close()
    os._exit(0)  # PortAudio's own exit handler can hang on a sound server that is gone


def _do_for_ever(work: SimpleQueue[Work]) -> None:
    try:
        while True:
            work.get()()
    finally:  # a bug, or a library's: without this thread no device can be used, so the server must hear of it
        traceback.print_exc()
        os._exit(1)


def _leave_within(limit_s: float) -> None:
    timer = Timer(limit_s, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _claim_pipes() -> tuple[int, int]:
    """Keep the two pipes for ourselves: whatever a library prints must reach neither of them.

    What native code prints goes nowhere (ALSA alone says dozens of lines about cards that are not there); a Python
    traceback still reaches the log.
    """
    commands, reports, log = os.dup(0), os.dup(1), os.dup(2)
    sys.stderr = os.fdopen(log, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return commands, reports


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
