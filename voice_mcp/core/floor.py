"""The floor: one voice at a time. First come, first served, within this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Floor:
    """A lock that tells those who wait where they stand."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def is_held(self) -> bool:
        """Whether somebody speaks."""
        return self._held

    @asynccontextmanager
    async def turn(self, on_wait: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold the floor for the length of the block.

        Args:
            on_wait: Called with the number of those in front before waiting begins; not called when the floor is free.
        """
        await self._acquire(on_wait)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, on_wait: Callable[[int], None]) -> None:
        if not self._held:
            self._held = True
            return
        on_wait(len(self._waiting) + 1)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # it became ours in the moment we stopped wanting it
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _release(self) -> None:
        """Hand the floor to the first who waits; it is never free in between."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # a waiter may have been cancelled and not have noticed yet
                turn.set_result(None)
                return
        self._held = False
