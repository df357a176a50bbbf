"""The server's end of the pipe to the audio process: one process, one run of sound at a time.

At most ``ahead_s`` seconds of audio are on the way at any time, so that a stop never queues behind sound that nobody
will hear, and memory stays flat however long the utterance. A sound system can hang for ever, and the audio process
with it: every wait for it has a bound, after which it is killed, and the sound goes on in a fresh one.
"""

from __future__ import annotations

import itertools
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voice_mcp.pipe.child import AUDIO_PROCESS, AudioChild
from voice_mcp.pipe.devices import DeviceList, DeviceLister
from voice_mcp.playback.config import DEVICE_BACKENDS, LinkConfig
from voice_mcp.playback.order import Order
from voice_mcp.playback.passage import MakeConverter
from voice_mcp.playback.run import Run
from voice_mcp.protocols import Playback, PlaybackListener
from voice_mcp.types import PcmFormat

__all__ = ["AUDIO_PROCESS", "DEVICE_BACKENDS", "AudioLink", "DeviceList", "LinkConfig"]


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
        self._lister = DeviceLister(self._child)

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
        rebuffer_s: float | None = None,
    ) -> Playback:
        await self._child.start()
        if self._current is not None:
            self._current.give_way()
        order = Order(fmt, start_s, to_file, path, pan, rebuffer_s)
        run = Run(self._child, self._numbers, order, self._config, listener, self._make_converter)
        self._current = run
        run.open()
        return run

    async def devices(self, backends: tuple[str, ...]) -> list[DeviceList]:
        """The output devices each of ``backends`` can reach.

        Raises:
            AudioProcessLost: The audio process cannot be started, or does not answer.
        """
        return await self._lister.ask(backends)

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
        if not self._lister.take_report(report) and self._current is not None:
            self._current.take_report(report)
