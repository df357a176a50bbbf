"""The server's end of the pipe to the audio process that listens: one process, one open microphone at a time.

It is a process of its own (docs/adr/0018): what hangs here does not silence anybody, and a process that has ended holds
no microphone. It is started when somebody wants to listen, and ends by itself when nobody has for a while.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import Any

from voice_mcp.capture.config import INPUT_BACKENDS, CaptureConfig
from voice_mcp.capture.hearing import Hearing
from voice_mcp.capture.stretch import MakeConverter
from voice_mcp.errors import AudioProcessLost, CodecError, MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.pipe.child import MICROPHONE_PROCESS, AudioChild
from voice_mcp.pipe.devices import DeviceList, DeviceLister
from voice_mcp.types import LISTENING_FORMAT, PcmFormat

__all__ = ["INPUT_BACKENDS", "MICROPHONE_PROCESS", "CaptureConfig", "MicrophoneLink"]

logger = logging.getLogger(__name__)

USUAL_FORMAT = PcmFormat(48_000, 1)


class MicrophoneLink:
    """The ``Microphone`` of this server.

    Args:
        config: How to listen.
        make_converter: Makes what brings frames into ``LISTENING_FORMAT``. Called in a thread, for it may load a
            library.
        command: What to run.
    """

    def __init__(
        self, config: CaptureConfig, make_converter: MakeConverter, command: Sequence[str] = MICROPHONE_PROCESS
    ) -> None:
        self._config = config
        self._make_converter = make_converter
        self._child = AudioChild(command, self._dispatch, self._process_ended)
        self._lister = DeviceLister(self._child)
        self._numbers = itertools.count(1)
        self._hearing: Hearing | None = None
        self._opening = asyncio.Lock()
        self._lingering: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The audio process, while it runs."""
        process = self._child.process
        return process.pid if process is not None else None

    async def open(self) -> Hearing:
        async with self._opening:
            if self._hearing is not None:
                if not self._hearing.is_over:
                    raise MicrophoneBusy(
                        "This server is listening already.", hint="Wait until the other call has its answer."
                    )
                await self._hearing.aclose()
            self._stay()
            hearing = self._hearing = Hearing(
                self._child, self._numbers, self._config, self._make_converter, self._closed
            )
            try:
                await hearing.open()
            except BaseException:
                hearing.close()
                raise
            return hearing

    async def prepare(self) -> None:
        """Start the audio process, and load what it needs and what the frames need. A failure is ``open``'s to tell."""
        try:
            await asyncio.gather(
                self._lister.ask(self._config.backends[:1]),
                asyncio.to_thread(self._make_converter, USUAL_FORMAT, LISTENING_FORMAT),
            )
        except (AudioProcessLost, CodecError) as exc:
            logger.debug("the microphone is not ready: %s", exc)
        if self._hearing is None or self._hearing.is_over:
            self._stay(self._config.ready_s)

    async def devices(self, backends: Sequence[str] = INPUT_BACKENDS) -> list[DeviceList]:
        """The input devices each of ``backends`` can reach.

        Raises:
            AudioProcessLost: The audio process cannot be started, or does not answer.
        """
        try:
            return await self._lister.ask(backends)
        finally:
            if self._hearing is None or self._hearing.is_over:
                self._stay(self._config.linger_s)

    async def aclose(self) -> None:
        """Close the microphone, and let the audio process go; kill it if it does not."""
        if self._hearing is not None:
            self._hearing.fail(MicrophoneUnavailable("Listening was ended."))
            await self._hearing.aclose()
        self._stay()
        await self._child.aclose()

    def kill(self) -> None:
        """End the audio process, whatever it is doing. Returns at once."""
        self._stay()
        if self._hearing is not None:
            self._hearing.fail(MicrophoneUnavailable("Listening was ended."))
        self._child.kill()

    def _stay(self, duration_s: float | None = None) -> None:
        """Let the audio process live for so long from now on; None for as long as it likes."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if duration_s is not None:
            self._lingering = asyncio.get_running_loop().call_later(duration_s, self._leave)

    def _leave(self) -> None:
        self._leaving = asyncio.create_task(self._child.aclose(), name="microphone-process-leaving")

    def _closed(self) -> None:
        self._stay(self._config.linger_s)

    def _process_ended(self, process: Process, returncode: int | None) -> None:
        if self._hearing is not None:
            self._hearing.process_ended(process, returncode)

    def _dispatch(self, report: dict[str, Any]) -> None:
        if not self._lister.take_report(report) and self._hearing is not None:
            self._hearing.take_report(report)
