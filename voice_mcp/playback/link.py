"""The server's end of the pipe to the audio process: one process, one run of sound at a time.

At most ``ahead_s`` seconds of audio are on the way at any time, so that a stop never queues behind sound that nobody
will hear, and memory stays flat however long the utterance. A sound system can hang for ever, and the audio process
with it: every wait for it has a bound, after which it is killed, and the sound goes on in a fresh one.
"""

from __future__ import annotations

import asyncio
import itertools
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.errors import AudioProcessLost
from voice_mcp.pipe.child import AUDIO_PROCESS, AudioChild
from voice_mcp.pipe.wire import Command, pack_json
from voice_mcp.playback.config import DEVICE_BACKENDS, LinkConfig
from voice_mcp.playback.order import Order
from voice_mcp.playback.passage import MakeConverter
from voice_mcp.playback.run import Run
from voice_mcp.protocols import Playback, PlaybackListener
from voice_mcp.types import PcmFormat

__all__ = ["AUDIO_PROCESS", "DEVICE_BACKENDS", "AudioLink", "DeviceList", "LinkConfig"]

DEVICES_S = 10.0
"""How long listing devices may take; a sound server that hangs must not hang the caller."""


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The output devices one backend can reach."""

    backend: str
    names: tuple[str, ...]
    problem: str | None = None
    """Why there are none, when the backend cannot be used."""


class AudioLink:
    """The one audio process of this server.

    Args:
        config: How it is to play.
        command: What to run.
        make_converter: Makes what turns frames into what a device takes that takes only another format, or into a
            place between left and right. Called in a thread, for it may load a library.
    """

    def __init__(
        self,
        config: LinkConfig,
        command: Sequence[str] = AUDIO_PROCESS,
        make_converter: MakeConverter | None = None,
    ) -> None:
        self._config = config
        self._make_converter = make_converter
        self._child = AudioChild(command, self._dispatch, self._process_ended)
        self._numbers = itertools.count(1)
        self._current: Run | None = None
        self._device_lists: asyncio.Queue[DeviceList | None] = asyncio.Queue()

    @property
    def pid(self) -> int | None:
        """The audio process, while it runs."""
        process = self._child.process
        return process.pid if process is not None else None

    async def start(self) -> None:
        """See that the audio process runs.

        Raises:
            AudioProcessLost: It cannot be started.
        """
        await self._child.start()

    async def begin(
        self,
        fmt: PcmFormat,
        listener: PlaybackListener,
        *,
        start_s: float | None = None,
        to_file: bool = False,
        path: Path | None = None,
        pan: float = 0.0,
    ) -> Playback:
        await self._child.start()
        if self._current is not None:
            self._current.give_way()
        order = Order(fmt, start_s, to_file, path, pan)
        run = Run(self._child, self._numbers, order, self._config, listener, self._make_converter)
        self._current = run
        run.open()
        return run

    async def devices(self, backends: tuple[str, ...]) -> list[DeviceList]:
        """The output devices each of ``backends`` can reach.

        Raises:
            AudioProcessLost: The audio process cannot be started, or does not answer.
        """
        await self._child.start()
        self._device_lists = asyncio.Queue()  # what an earlier call did not wait for is none of this one's answer
        self._child.send(pack_json(Command.DEVICES, backends=backends))
        lists: list[DeviceList] = []
        try:
            async with asyncio.timeout(DEVICES_S):
                while (entry := await self._device_lists.get()) is not None:
                    lists.append(entry)
        except TimeoutError as exc:
            self._child.kill()
            raise AudioProcessLost(f"The sound system did not answer within {DEVICES_S:.0f} s.") from exc
        return lists

    async def aclose(self) -> None:
        """Fade out, and let the audio process go; kill it if it does not."""
        self._end_with_this_process()
        await self._child.aclose()

    def kill(self) -> None:
        """End the audio process, whatever it is doing; the next utterance starts another. Returns at once."""
        self._end_with_this_process()
        self._child.kill()

    def _end_with_this_process(self) -> None:
        if self._current is not None:
            self._current.make_last()

    def _process_ended(self, process: Process, returncode: int | None) -> None:
        if self._current is not None:
            self._current.process_ended(process, returncode)

    def _dispatch(self, report: dict[str, Any]) -> None:
        if report["event"] == "devices":
            self._device_lists.put_nowait(DeviceList(report["backend"], tuple(report["names"]), report["problem"]))
        elif report["event"] == "devices_end":
            self._device_lists.put_nowait(None)
        elif self._current is not None:
            self._current.take_report(report)
