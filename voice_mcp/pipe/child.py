"""An audio process as the server holds it: started when it is needed, fed, listened to, replaced, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from typing import Any

from voice_mcp.errors import AudioProcessLost
from voice_mcp.pipe.wire import OFFLINE

logger = logging.getLogger(__name__)

AUDIO_PROCESS = (sys.executable, "-P", "-m", "voice_mcp.audio_process")
"""The one that plays. ``-P`` keeps the working folder off the import path: a project's own ``sounddevice.py`` must not
run here."""
MICROPHONE_PROCESS = (sys.executable, "-P", "-m", "voice_mcp.microphone_process")
"""The one that listens."""
EXIT_S = 1.0
"""How long an audio process may take to go before it is killed, and how long a killed one is waited for."""


def confined(command: Sequence[str], *, offline: bool) -> tuple[str, ...]:
    """The command of an audio process; with ``offline`` it can reach no other machine."""
    return (*command, OFFLINE) if offline else tuple(command)


class AudioChild:
    """At most one audio process at work. One that is being got rid of is waited for before the next is started.

    Args:
        command: What to run.
        on_report: Told every report, in order; the bytes that came with it are its ``payload``.
        on_end: Told that a process has ended, after its last report, and with which code.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_report: Callable[[dict[str, Any]], None],
        on_end: Callable[[Process, int | None], None],
    ) -> None:
        self._command = tuple(command)
        self._on_report = on_report
        self._on_end = on_end
        self._process: Process | None = None
        self._readers: dict[Process, asyncio.Task[None]] = {}  # of all that have not ended yet
        self._starting = asyncio.Lock()

    @property
    def process(self) -> Process | None:
        """The one at work, while it runs."""
        return self._process if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """See that one runs.

        Raises:
            AudioProcessLost: It cannot be started.
        """
        async with self._starting:
            if self.process is not None:
                return
            await self._others_gone()  # never two that hold a device
            try:
                process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
            except OSError as exc:
                raise AudioProcessLost(f"The audio process cannot be started: {exc}.") from exc
            self._process = process
            self._readers[process] = asyncio.create_task(self._read(process), name="audio-process-reports")

    async def replace(self) -> None:
        """End the one at work, without mercy, and start another.

        Raises:
            AudioProcessLost: It cannot be started.
        """
        self.kill()
        await self.start()

    def kill(self) -> None:
        """End it, whatever it is doing. Returns at once."""
        self._process = None
        for process in self._readers:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    process.kill()

    async def aclose(self) -> None:
        """Let it fade out and go; kill it if it does not."""
        async with self._starting:  # one that is just being started goes as well
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if not await self._others_gone():
            logger.warning("the audio process did not end by itself and is killed")
            self.kill()
            await self._others_gone()  # bounded as well: the kernel may hold on to one that waits for a driver

    def send(self, message: bytes) -> None:
        """Write one message; never waits.

        Raises:
            AudioProcessLost: There is no audio process.
        """
        process = self.process
        if process is None or process.stdin is None:
            raise AudioProcessLost("The audio process is not running.")
        process.stdin.write(message)

    async def drain(self) -> None:
        """Wait until the pipe has taken what was written."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):  # the reader notices the loss and tells everybody
                await self._process.stdin.drain()

    async def _others_gone(self) -> bool:
        """Whether no audio process is left, after the time they are given for it."""
        if not self._readers:
            return True
        _, waiting = await asyncio.wait(self._readers.values(), timeout=EXIT_S)
        return not waiting

    async def _read(self, process: Process) -> None:
        """Pass its reports on until it is gone, and tell that it is, whatever happens."""
        try:
            await self._pass_reports_on(process)
        except Exception:
            # A mistake of ours: whoever waits for its sound must not wait for ever, and a fresh process may do better.
            logger.exception("a report of the audio process could not be taken; it is replaced")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        del self._readers[process]
        self._on_end(process, process.returncode)

    async def _pass_reports_on(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if not line.endswith(b"\n"):  # it was killed in the middle of it
                break
            report = json.loads(line)
            if size := report.pop("bytes", 0):
                try:
                    report["payload"] = await process.stdout.readexactly(size)
                except asyncio.IncompleteReadError:
                    break
            self._on_report(report)
