"""The ducking process as the server holds it: told what to do, and never waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from voice_mcp.ducking.process import LOWER, RESTORE

logger = logging.getLogger(__name__)

DUCKING_PROCESS = (sys.executable, "-P", "-m", "voice_mcp.ducking_process")
EXIT_S = 1.0
"""How long it may take to put everything back and go."""


class DuckingLink:
    """A ``Ducking`` by a process of its own, which begins with the first word. Belongs to one event loop.

    Args:
        base_dir: Where it keeps its record.
        share: What is left of other programs' volume.
    """

    def __init__(self, base_dir: Path, share: float) -> None:
        self._command = (*DUCKING_PROCESS, str(base_dir), str(share))
        self._process: Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._order = RESTORE

    @property
    def process_id(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def prepare(self) -> None:
        """Have it running before it is needed. Returns at once."""
        if self.process_id is None and (self._starting is None or self._starting.done()):
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="ducking")

    def lower(self) -> None:
        self._tell(LOWER)

    def restore(self) -> None:
        self._tell(RESTORE)

    async def aclose(self) -> None:
        """Let it put everything back and go."""
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=EXIT_S)
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(EXIT_S):
                await process.wait()
        except TimeoutError:
            logger.warning("the ducking process did not end by itself and is killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _tell(self, order: bytes) -> None:
        self._order = order
        if self.process_id is None:
            if order == LOWER:
                self.prepare()
            return
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(order)

    async def _start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE)
        except OSError as exc:
            logger.warning("Other programs cannot be lowered: %s", exc)
            return
        if self._order == LOWER:
            self._tell(LOWER)
