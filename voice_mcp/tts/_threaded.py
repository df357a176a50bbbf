"""Speech that is made in a thread, block by block: what engines share whose libraries compute for as long as they do.

An engine writes down how a segment is made as a generator of blocks; here is all the rest. The thread makes one block
of one stream after another, so streams take turns, and a stream is never more than a block from being stopped. A
stream that nobody reads asks for no more once ``LOOK_AHEAD_S`` of sound wait. A generator is begun, gone on with and
closed in the thread alone, so it may hold whatever belongs to its library.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakSet

from voice_mcp.errors import EngineError, VoiceError
from voice_mcp.types import PcmFormat, WordMark

LOOK_AHEAD_S = 2.0
"""Seconds of unread audio at which a stream stops asking for more."""

T = TypeVar("T")
Blocks = Iterator[bytes]
"""Whole frames, int16, in blocks of any size. A generator; its thread: the engine's."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A segment that is about to be made."""

    model: str
    voice: str
    format: PcmFormat
    begin: Callable[[], Blocks]
    """Called in the thread when the first block is wanted."""
    stop: Callable[[], None] = lambda: None
    """Called when nobody wants it any more, from any thread, while a block may be being made: that may fail then."""


class SpeakingThread:
    """The thread in which an engine's library lives. It starts when it is first needed.

    Args:
        engine: The engine's name, for the thread and for errors.
        let_go: Called there, last of all: drops what the library holds, for an engine may be held long after it was
            closed.
    """

    def __init__(self, engine: str, let_go: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._let_go = let_go
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=engine)
        self._streams: WeakSet[ThreadedStream] = WeakSet()
        self._closed = False

    async def do(self, work: Callable[[], T]) -> T:
        """Have something done there, after what is under way.

        Raises:
            EngineError: The engine is closed, or ``work`` failed with an error that is not ours.
        """
        if self._closed:
            raise EngineError(f"The {self._engine} engine has been closed.")
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except VoiceError:
            raise
        except Exception as exc:
            raise EngineError(f"{self._engine} failed while it got ready to speak.") from exc
        if self._closed:
            raise EngineError(f"The {self._engine} engine was closed while it got ready to speak.")
        return done

    def speak(self, speech: Speech) -> ThreadedStream:
        """Begin to make a segment.

        Raises:
            EngineError: The engine is closed.
        """
        if self._closed:
            raise EngineError(f"The {self._engine} engine has been closed.")
        stream = ThreadedStream(self._engine, self._worker, speech)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """Stop all that is being made, and let the thread end. May be called twice."""
        was_closed, self._closed = self._closed, True
        for stream in list(self._streams):
            await stream.aclose()
        if not was_closed:
            self._worker.submit(self._let_go)
        # Not waited for: the library may be in the middle of a block, and what is queued sees that it is over.
        self._worker.shutdown(wait=False)


class ThreadedStream:
    """A segment that is being made. Begins at once. Its own state belongs to the event loop."""

    def __init__(self, engine: str, worker: ThreadPoolExecutor, speech: Speech) -> None:
        self._engine = engine
        self._worker = worker
        self._speech = speech
        self._loop = asyncio.get_running_loop()
        self._making = False
        self._made_all = False
        self._failure: BaseException | None = None
        self._closed = False
        self._blocks: deque[bytes] = deque()
        self._unread_bytes = 0
        self._news = asyncio.Event()
        self._source: Blocks | None = None
        """Touched by the thread alone."""

        self._make_more()

    @property
    def engine(self) -> str:
        return self._engine

    @property
    def model(self) -> str:
        return self._speech.model

    @property
    def voice(self) -> str:
        return self._speech.voice

    @property
    def encoding(self) -> str:
        return "pcm"

    @property
    def connect_s(self) -> float:
        return 0.0

    @property
    def media_type(self) -> str:
        return ""

    @property
    def pcm_format(self) -> PcmFormat:
        return self._speech.format

    @property
    def word_marks(self) -> Sequence[WordMark]:
        return ()

    @property
    def unread_s(self) -> float:
        """Seconds of audio that are made and not yet read."""
        return self.pcm_format.seconds(self.pcm_format.frames(self._unread_bytes))

    def __aiter__(self) -> ThreadedStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._blocks:
            if self._closed or (self._made_all and self._failure is None):
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._translated(self._failure)
            self._news.clear()
            await self._news.wait()
        block = self._blocks.popleft()
        self._unread_bytes -= len(block)
        self._make_more()
        return block

    async def aclose(self) -> None:
        # Nothing is waited for: the thread looks at the flag before and after every block.
        self._closed = True
        self._speech.stop()
        self._blocks.clear()
        self._unread_bytes = 0
        self._news.set()
        # Behind the block that may be under way: there is one thread, and it does things in order.
        with suppress(RuntimeError):  # the engine was closed before, and this stream with it
            self._worker.submit(self._let_go)

    # --- event loop --------------------------------------------------------------------------------------------

    def _make_more(self) -> None:
        if self._making or self._made_all or self._closed or self.unread_s >= LOOK_AHEAD_S:
            return
        self._making = True
        try:
            self._worker.submit(self._make).add_done_callback(self._post_made)
        except RuntimeError as exc:  # the engine was closed meanwhile
            self._made(None, exc)

    def _made(self, block: bytes | None, failure: BaseException | None) -> None:
        self._making = False
        self._failure = failure
        self._made_all = block is None
        if block and not self._closed:
            self._blocks.append(block)
            self._unread_bytes += len(block)
        self._news.set()
        self._make_more()

    def _translated(self, failure: BaseException) -> VoiceError:
        if isinstance(failure, VoiceError):
            return failure
        error = EngineError(f"{self._engine} failed while it was speaking.")
        error.__cause__ = failure
        return error

    # --- the engine's thread -----------------------------------------------------------------------------------

    def _make(self) -> bytes | None:
        """The next block; None where there is none, or nobody wants it."""
        if not self._closed:
            if self._source is None:
                self._source = self._speech.begin()
            block = next(self._source, None)
            if block is not None and not self._closed:
                return block
        self._let_go()
        return None

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None and hasattr(source, "close"):
            source.close()

    def _post_made(self, future: Future[bytes | None]) -> None:
        failure = future.exception()
        block = None if failure is not None else future.result()
        try:
            self._loop.call_soon_threadsafe(self._made, block, failure)
        except RuntimeError:  # the loop is closed, so nobody can be listening
            self._closed = True
            self._let_go()
