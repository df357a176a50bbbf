"""Live captions: progress notifications that say which sentence is being spoken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from mcp.server.mcpserver import Context

AT_MOST_EVERY_S = 0.5
"""Between two notifications that say the same sentence."""


class Captions:
    """Takes the voice's position as often as it comes, and sends on what is news. Values only ever rise."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._news = asyncio.Event()
        self._position_s = 0.0
        self._total_s: float | None = None
        self._text = ""
        self._sent_s = -1.0
        self._sent_text = ""

    def update(self, position_s: float, total_s: float | None, text: str) -> None:
        """A ``ProgressListener``."""
        self._position_s, self._total_s, self._text = position_s, total_s, text
        if text != self._sent_text or position_s - self._sent_s >= AT_MOST_EVERY_S:
            self._news.set()

    async def send_forever(self) -> None:
        """Send what is news until cancelled, or until nobody listens any more."""
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                await self._news.wait()
                self._news.clear()
                position_s = max(self._position_s, self._sent_s + 0.001)
                self._sent_s, self._sent_text = position_s, self._text
                total_s = max(self._total_s, position_s) if self._total_s is not None else None
                await self._ctx.report_progress(round(position_s, 3), _rounded(total_s), self._text)


@asynccontextmanager
async def captions(ctx: Context) -> AsyncIterator[Captions]:
    """Captions for the length of the block."""
    shown = Captions(ctx)
    task = asyncio.create_task(shown.send_forever(), name="captions")
    try:
        yield shown
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
