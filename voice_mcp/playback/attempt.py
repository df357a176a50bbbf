"""One attempt to have a device opened: its number, the process that was asked, and what came of it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process

from voice_mcp.errors import AudioProcessLost, PlaybackError
from voice_mcp.pipe.child import AudioChild
from voice_mcp.types import PlaybackEvent


class Attempt:
    """What one BEGIN led to. Whatever is said afterwards goes to the process that got it, and to no other.

    Args:
        child: The audio process.
        number: Nobody else's, so that a late report is not taken for a new one's.
        begin: The message.

    Raises:
        AudioProcessLost: There is no audio process.
    """

    def __init__(self, child: AudioChild, number: int, begin: bytes) -> None:
        self.number = number
        self._child = child
        self._process = child.process
        self._outcome = _unknown()
        self.was_open = False
        """Whether its device has ever been open."""
        child.send(begin)

    def is_with(self, process: Process) -> bool:
        """Whether that is the process that was asked."""
        return process is self._process

    def tell(self, message: bytes) -> bool:
        """Send a message; whether its process was still there to get it."""
        if self._process is None or self._child.process is not self._process:
            return False
        try:
            self._child.send(message)
        except AudioProcessLost:
            return False
        return True

    def accept(self, opened: PlaybackEvent) -> None:
        """The device is open."""
        self.was_open = True
        if not self._outcome.done():
            self._outcome.set_result(opened)

    def refuse(self, error: PlaybackError) -> None:
        """It could not be opened, or is gone already."""
        if self._outcome.done():
            self._outcome = _unknown()
        self._outcome.set_exception(error)

    async def outcome(self) -> PlaybackEvent:
        """Wait until it is known; what it was may still change.

        Raises:
            PlaybackError: It could not be opened.
        """
        return await asyncio.shield(self._outcome)


def _unknown() -> asyncio.Future[PlaybackEvent]:
    outcome: asyncio.Future[PlaybackEvent] = asyncio.get_running_loop().create_future()
    outcome.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it
    return outcome
