"""Where the library works: a thread with an event loop of its own, for callers with a loop and for those without.

A caller's loop may be as busy as it likes; sound goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class Workshop:
    """Runs coroutines for others. Its thread starts when it is first needed, and ends with ``close`` or the program."""

    def __init__(self) -> None:
        # Entered again by whoever is thrown away while it is held: a generation that nobody wants any more ends itself.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = asyncio.Event()

    def call(self, work: Work[T]) -> T:
        """Do it there and wait for its result; an interruption (Ctrl+C) cancels it, and comes when it is over.

        Thread: any but the workshop's.
        """
        job = self._begin(work)
        try:
            return job.future.result()
        except BaseException:
            if not job.future.done():
                job.cancel()
                wait([job.future])
            raise

    async def acall(self, work: Work[T]) -> T:
        """The same for a caller with an event loop: a cancellation cancels it there, and goes on when it is over."""
        job = self._begin(work)
        over = asyncio.wrap_future(job.future)
        try:
            return await asyncio.shield(over)
        except asyncio.CancelledError:
            if not over.done():
                job.cancel()
                await asyncio.wait([over])
                over.exception()  # that it was cancelled is no news to anybody
            raise

    def soon(self, work: Work[object]) -> None:
        """Do it there, some time; nobody waits for it. Where the workshop is closed there is nothing to be done."""
        with self._lock:
            if self._loop is not None:
                _Job(self._loop, work)

    def close(self) -> None:
        """End the thread. What it was doing is cancelled. May be called twice; afterwards a call begins anew."""
        with self._lock:
            loop, thread, closing = self._loop, self._thread, self._closing
            self._loop = self._thread = None
            self._closing = asyncio.Event()
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(closing.set)
            thread.join()

    def _begin(self, work: Work[T]) -> _Job[T]:
        with self._lock:
            if self._loop is None:
                self._loop = self._start()
            return _Job(self._loop, work)

    def _start(self) -> asyncio.AbstractEventLoop:
        runner, closing, ready = asyncio.Runner(), self._closing, threading.Event()

        def run() -> None:
            with runner:  # what still runs at its end is cancelled, and waited for
                runner.get_loop().call_soon(ready.set)
                runner.run(_until(closing))

        self._thread = threading.Thread(target=run, name="voice-mcp", daemon=True)
        self._thread.start()
        ready.wait()
        return runner.get_loop()


async def _until(closing: asyncio.Event) -> None:
    await closing.wait()


class _Job(Generic[T]):
    """A coroutine that runs there. Its future is done when it is really over, also after a cancellation."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work[T]) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # it is cancelled through the task alone
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start)

    def cancel(self) -> None:
        """Ask it to end. Thread: any."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._work())
        self._task.add_done_callback(self._over)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _over(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())
