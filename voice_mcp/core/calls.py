"""The calls that are being answered: their records are complete only when they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Calls:
    """Every call to a tool, from its start to its one end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """The running task answers a call for the length of the block."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._none.clear()
        try:
            yield
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._none.set()

    async def over(self, timeout_s: float) -> bool:
        """Wait until there is none, for ``timeout_s`` seconds at most; whether that is so."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._none.wait()
        except TimeoutError:
            return False
        return True

    def cancel(self) -> None:
        """Let those end that wait for somebody. Returns at once."""
        for task in self._tasks:
            task.cancel()
