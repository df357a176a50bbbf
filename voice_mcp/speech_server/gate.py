"""Who may speak now, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voice_mcp.speech_server.errors import busy


class Gate:
    """Lets a few through at a time, in the order they came.

    Args:
        concurrency: How many at a time.
        queue: How many may wait; whoever comes then is sent away.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._queue = queue
        self._running = 0
        self._waiting = 0

    @property
    def running(self) -> int:
        """Requests that are being spoken."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the length of the block.

        Raises:
            ApiError: Too many wait already.
        """
        if self._slots.locked() and self._waiting >= self._queue:
            raise busy(f"{self._running} requests are being spoken and {self._waiting} wait. Try again in a moment.")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._slots.release()
