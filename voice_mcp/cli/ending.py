"""How a command that takes its time ends when a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any


class Ending:
    """Makes of SIGTERM and SIGHUP what ``asyncio.run`` makes of Ctrl+C: the main task is cancelled."""

    def __init__(self) -> None:
        self._number: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal ended."""
        return 128 + self._number

    def watch(self) -> None:
        """Listen for the signals; they cancel the task that calls this."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is None or task is None or signal.getsignal(number) is signal.SIG_IGN:  # nohup
                continue
            with contextlib.suppress(NotImplementedError):  # Windows ends the process itself
                loop.add_signal_handler(number, self._take, number, task)

    def _take(self, number: int, task: asyncio.Task[Any]) -> None:
        self._number = number
        task.cancel()
