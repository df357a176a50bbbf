"""One attempt to have a microphone opened: its number, the process that was asked, and what came of it."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Any

from voice_mcp.capture.config import CaptureConfig
from voice_mcp.capture.stretch import Stretch
from voice_mcp.errors import AudioProcessLost, MicrophoneUnavailable
from voice_mcp.pipe.child import AudioChild
from voice_mcp.pipe.wire import Command, pack_json
from voice_mcp.types import PcmFormat


class Attempt:
    """What one CAPTURE led to.

    Args:
        child: The audio process.
        number: Nobody else's, so that a late report is not taken for a new one's.
        config: Which microphone.

    Raises:
        AudioProcessLost: There is no audio process.
    """

    def __init__(self, child: AudioChild, number: int, config: CaptureConfig) -> None:
        self.number = number
        self.process = child.process
        self.opened: Future[PcmFormat] = _unwatched()
        """What the device gives."""
        self.backend = ""
        """Through what it was opened."""
        self.heard: Future[None] = _unwatched()
        """Done once something was heard."""
        self.released = asyncio.Event()
        """The microphone is closed."""
        self.stretch: Stretch | None = None
        """Takes what is heard, once it is known how."""
        self.early: list[dict[str, Any]] = []
        """The reports of what was heard before."""
        self._child = child
        child.send(pack_json(Command.CAPTURE, n=number, backends=config.backends, device=config.device))

    @property
    def was_open(self) -> bool:
        """Whether its device has ever been open."""
        return self.opened.done() and not self.opened.cancelled() and self.opened.exception() is None

    def accept(self, fmt: PcmFormat, backend: str) -> None:
        """It is open."""
        self.backend = backend
        if not self.opened.done():
            self.opened.set_result(fmt)

    def refuse(self, error: MicrophoneUnavailable) -> None:
        """It could not be opened, or is gone before anything was heard."""
        for future in (self.opened, self.heard):
            if not future.done():
                future.set_exception(error)

    async def release(self) -> None:
        """Have its microphone closed, and its process killed if it does not say that it is."""
        if self._child.process is not self.process:
            return  # what it held open it has let go of
        try:
            self._child.send(pack_json(Command.RELEASE, n=self.number))
        except AudioProcessLost:
            return
        await self.released.wait()


def _unwatched() -> Future[Any]:
    """A future whose error nobody need look at."""
    future: Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
