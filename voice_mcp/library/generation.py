"""Sound as it is made, for ``for`` and for ``async for``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from voice_mcp.clock import Clock
from voice_mcp.library.chunks import ChunkPlan
from voice_mcp.library.progress_bar import Watch, watching
from voice_mcp.library.rendition import Chunks, Rendition
from voice_mcp.library.workshop import Workshop
from voice_mcp.samples.convert import Samples


class Generation:
    """The chunks of one text, each a float32 array of shape (frames,), 24 kHz mono, within [-1, 1].

    Nothing is made before the first chunk is asked for. Leaving the loop early, ``close``, and the end of a ``with``
    stop the synthesis; so does an exception, a cancellation or Ctrl+C that comes while a chunk is waited for. Take it
    from one place at a time.

    Args:
        workshop: Where it is made.
        begin: Begins to make it. Runs there.
        plan: How long the chunks are.
        clock: Tells how fast they are taken.
        chars: How long the text is.
        progress: Who is told how far it is.
    """

    def __init__(
        self,
        workshop: Workshop,
        begin: Callable[[], Rendition],
        plan: ChunkPlan,
        clock: Clock,
        *,
        chars: int,
        progress: bool | Watch | None,
    ) -> None:
        self._workshop = workshop
        self._begin = begin
        self._plan = plan
        self._clock = clock
        self._chars = chars
        self._progress = progress
        self._rendition: Rendition | None = None
        self._chunks: Chunks | None = None
        self._bar = ExitStack()
        self._watch: Watch | None = None
        self._closed = False

    @property
    def engine(self) -> str | None:
        """What speaks; None before it does."""
        return self._rendition.spoken_by.engine if self._rendition is not None else None

    @property
    def voice(self) -> str | None:
        """The voice that speaks; None before it does."""
        return self._rendition.spoken_by.voice if self._rendition is not None else None

    @property
    def notes(self) -> list[str]:
        """What the user should know, one sentence each."""
        return list(self._rendition.notes) if self._rendition is not None else []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Samples:
        """The next chunk.

        Raises:
            VoiceError: It cannot be said; the chunks before are good.
        """
        if self._closed:
            raise StopIteration
        try:
            chunk = self._workshop.call(self._next)
            if chunk is not None:
                self._tell()
        except BaseException:
            self.close()
            raise
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Samples:
        if self._closed:
            raise StopAsyncIteration
        try:
            chunk = await self._workshop.acall(self._next)
            if chunk is not None:
                self._tell()
        except BaseException:
            await self.aclose()
            raise
        if chunk is None:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Stop. May be called twice."""
        if not self._closed:
            self._closed = True
            self._bar.close()
            if self._rendition is not None and not self._rendition.is_closed:
                self._workshop.call(self._rendition.aclose)

    async def aclose(self) -> None:
        """The same, for a caller with an event loop."""
        if not self._closed:
            self._closed = True
            self._bar.close()
            if self._rendition is not None and not self._rendition.is_closed:
                await self._workshop.acall(self._rendition.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # A loop that was left early has dropped it: what it had begun must not go on.
        if not self._closed and self._rendition is not None:
            self._closed = True
            self._bar.close()
            self._workshop.soon(self._rendition.aclose)

    async def _next(self) -> Samples | None:
        if self._chunks is None:
            self._rendition = self._begin()
            self._chunks = Chunks(self._rendition, self._plan, self._clock.now)
        return await self._chunks.next()

    def _tell(self) -> None:
        if self._watch is None:
            self._watch = self._bar.enter_context(watching(self._chars, self._progress))
        if self._rendition is not None:
            self._watch(self._rendition.progress)
