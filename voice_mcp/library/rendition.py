"""The sound of a script while it is made: line after line, each begun as soon as the one before it is made.

A task makes the sound and runs ahead of whoever takes it, by ``AHEAD_S`` at most: so the next sentence is generated
while the current one plays, and memory does not grow with the text. Runs in the workshop's loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import numpy as np

from voice_mcp.core.casting import Manner
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.rendering import Rendering, SpokenBy
from voice_mcp.errors import VoiceError
from voice_mcp.library.calibration import Calibration
from voice_mcp.library.chunks import FORMAT, FRAME_SAMPLES, ChunkPlan
from voice_mcp.library.shaping import Shaper
from voice_mcp.library.sounding import sound_of
from voice_mcp.library.turns import Line
from voice_mcp.library.workshop import closed
from voice_mcp.samples.convert import Samples

AHEAD_S = 10.0
"""Seconds of sound that may be made before somebody takes them."""

MannerOf = Callable[[Line], Manner]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rendition is."""

    made_s: float
    """Seconds of sound."""
    share: float
    """Of the text, 0 to 1."""
    text: str
    """The line that is made now."""


class Rendition:
    """Makes the sound of ``lines``.

    Args:
        lines: What is said.
        manner_of: How each line is said.
        roster: Who can say it.
        calibration: How loud each voice is by nature.
        shaper: What becomes of the sound.
        ahead_s: How far it may run ahead, beyond what is waited for.
        on_close: Called when it is closed.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        manner_of: MannerOf,
        roster: SpeechRoster,
        calibration: Calibration,
        shaper: Shaper,
        *,
        ahead_s: float = AHEAD_S,
        on_close: Callable[[Rendition], object] = lambda _: None,
    ) -> None:
        self._lines = lines
        self._manner_of = manner_of
        self._roster = roster
        self._calibration = calibration
        self._shaper = shaper
        self._ahead_frames = FORMAT.frames_in(ahead_s)
        self._wanted_frames = 0
        self._on_close = on_close
        self._closed = False
        self._ready: deque[Samples] = deque()
        self._ready_frames = 0
        self._made_frames = 0
        self._said_chars = 0
        self._text = lines[0].text
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._over = False
        self.spoken_by = SpokenBy()
        """Who spoke last."""
        self.notes: list[str] = []
        """What the user should know, one sentence each."""
        self._task = asyncio.create_task(self._make(), name="rendition")

    @property
    def progress(self) -> Progress:
        """How far it is."""
        whole = sum(len(line.text) for line in self._lines)
        return Progress(FORMAT.seconds(self._made_frames), self._said_chars / whole, self._text)

    async def take(self, frames: int) -> Samples | None:
        """The next ``frames`` frames, fewer only at the end; None behind it.

        Raises:
            VoiceError: It cannot be said; what was taken before is good, and so is what is taken until this comes. Or
                it was closed.
        """
        self._wanted_frames = frames
        self._room.set()
        while self._ready_frames < frames and not self._over:
            self._news.clear()
            await self._news.wait()
        if self._closed:
            raise closed()
        if not self._ready_frames:
            await self._task  # raises what went wrong
            return None
        return self._cut(frames)

    async def take_what_is_there(self, least_frames: int, most_frames: int) -> Samples | None:
        """The same, but as many as are made by now."""
        block = await self.take(least_frames)
        if block is None or not self._ready_frames or len(block) >= most_frames:
            return block
        return np.concatenate((block, self._cut(most_frames - len(block))))

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    async def aclose(self) -> None:
        """Stop. What was not taken is dropped. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._on_close(self)
        self._task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # told to whoever took, or of no interest any more
            await self._task

    def _cut(self, frames: int) -> Samples:
        pieces = []
        while frames and self._ready:
            piece = self._ready.popleft()
            if len(piece) > frames:
                self._ready.appendleft(piece[frames:])
                piece = piece[:frames]
            pieces.append(piece)
            frames -= len(piece)
            self._ready_frames -= len(piece)
        self._room.set()
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    # --- making ------------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        try:
            for line in self._lines:
                self._text = line.text
                await self._say(line)
                self._said_chars += len(line.text)
            await self._give(self._shaper.flush())
        except VoiceError:
            await self._give(self._shaper.flush())  # what was made is good
            raise
        finally:
            self._over = True
            self._news.set()

    async def _say(self, line: Line) -> None:
        manner = self._manner_of(line)
        await self._calibration.prepare(manner, self._roster)
        async with aclosing(sound_of(line.text, manner, self._roster, self._inform)) as pieces:
            async for piece in pieces:
                if isinstance(piece, SpokenBy):  # another one goes on where the one before broke off, perhaps
                    gain = await self._calibration.gain(piece, manner, self._roster)
                    await self._give(self._shaper.next_piece(gain))
                else:
                    await self._give(self._shaper.process(piece))

    async def _give(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._ready.append(samples)
        self._ready_frames += len(samples)
        self._made_frames += len(samples)
        self._news.set()
        while self._ready_frames >= max(self._ahead_frames, self._wanted_frames):
            self._room.clear()
            await self._room.wait()

    def _inform(self, rendering: Rendering) -> None:
        self.spoken_by = rendering.spoken_by
        self.notes += [note for note in rendering.notes if note not in self.notes]


class Chunks:
    """A rendition in chunks: one frame first, then more and more.

    Args:
        rendition: What is cut.
        plan: How.
        clock: Tells when a chunk was taken, in seconds.
    """

    def __init__(self, rendition: Rendition, plan: ChunkPlan, clock: Callable[[], float]) -> None:
        self._rendition = rendition
        self._plan = plan
        self._clock = clock

    async def next(self) -> Samples | None:
        """The next chunk; None at the end."""
        chunk = await self._rendition.take(self._plan.size_frames * FRAME_SAMPLES)
        if chunk is not None:
            self._plan.given(FORMAT.seconds(len(chunk)), self._clock())
        return chunk
