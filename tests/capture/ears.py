"""A link to a real process that listens, and what was heard through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

from voice_mcp.capture.link import MICROPHONE_PROCESS, CaptureConfig, MicrophoneLink
from voice_mcp.codecs.conversion import Converter
from voice_mcp.protocols import Capture
from voice_mcp.types import LISTENING_FORMAT, CapturedSound

WAIT_S = 20.0
NULL = CaptureConfig(backends=("null",))


@asynccontextmanager
async def linked(
    config: CaptureConfig = NULL, command: Sequence[str] = MICROPHONE_PROCESS
) -> AsyncIterator[MicrophoneLink]:
    """A link that is closed afterwards."""
    link = MicrophoneLink(config, Converter, command)
    try:
        yield link
    finally:
        async with asyncio.timeout(WAIT_S):
            await link.aclose()


class Heard:
    """Everything that a capture gave so far."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.sounds: list[CapturedSound] = []

    async def until(self, enough: Callable[[], bool]) -> None:
        """Listen on until it is enough."""
        async with asyncio.timeout(WAIT_S):
            while not enough():
                self.sounds.append(await anext(aiter(self._capture)))

    async def seconds(self, duration_s: float) -> None:
        """Listen on for so long."""
        enough = self.duration_s + duration_s
        await self.until(lambda: self.duration_s >= enough)

    async def up_to(self, moment_s: float) -> None:
        """Listen on until that moment has been heard."""
        await self.until(lambda: bool(self.sounds) and end_s(self.sounds[-1]) >= moment_s)

    @property
    def frames(self) -> bytes:
        """All of it."""
        return b"".join(sound.frames for sound in self.sounds)

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return sum(map(duration_s, self.sounds))

    @property
    def losses(self) -> list[CapturedSound]:
        """The silences where the microphone was gone."""
        return [sound for sound in self.sounds if sound.lost]

    def moment_s(self, frame: int) -> float:
        """When a frame was heard."""
        for sound in self.sounds:
            count = LISTENING_FORMAT.frames(len(sound.frames))
            if frame < count:
                return sound.at_s + LISTENING_FORMAT.seconds(frame)
            frame -= count
        raise IndexError(frame)

    def largest_step_s(self) -> float:
        """By how much a sound begins too early or too late after the one before it, at most."""
        return max((abs(after.at_s - end_s(before)) for before, after in pairwise(self.sounds)), default=0.0)


def duration_s(sound: CapturedSound) -> float:
    """How long it is."""
    return LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(sound.frames)))


def end_s(sound: CapturedSound) -> float:
    """When it was over."""
    return sound.at_s + duration_s(sound)
