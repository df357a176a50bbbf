"""Where the library works: a thread with an event loop of its own, for callers with a loop and for those without.

A caller's loop may be as busy as it likes; sound goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Generic, TypeVar

from voice_mcp.errors import InvalidInput, VoiceError

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


async def _nothing() -> None:
    """Nothing is to be done."""


class Workshop:
    """Runs coroutines for others. Its thread starts when it is first needed, and ends with ``close`` or the program.

    Args:
        last: Done there before the thread ends. It must not hold whoever owns the workshop: an owner that is thrown
            away calls ``abandon``.
    """

    def __init__(self, last: Work[object] = _nothing) -> None:
        self._last = last
        # Entered again by whoever is thrown away while it is held: a generation that nobody wants any more ends itself.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = asyncio.Event()
        self._jobs = set[_Job[Any]]()

    def call(self, work: Work[T]) -> T:
        """Do it there and wait for its result; an interruption (Ctrl+C) cancels it, and comes when it is over.

        Thread: any but the workshop's.

        Raises:
            InvalidInput: This is the workshop's: it would wait for itself.
            VoiceError: It was closed meanwhile.
        """
        self._refuse_itself()
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
        self._refuse_itself()
        job = self._begin(work)
        over = asyncio.wrap_future(job.future)
        over.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is no news to whoever cancelled
        try:
            return await asyncio.shield(over)
        except asyncio.CancelledError:
            job.cancel()
            while not over.done():  # whoever cancels twice does not get it sooner
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([over])
            raise

    def soon(self, work: Work[object]) -> None:
        """Do it there, some time; nobody waits for it. Where the workshop is closed there is nothing to be done."""
        with self._lock:
            if self._loop is not None:
                _Job(self._loop, work, self._jobs)

    def close(self) -> None:
        """End the thread, after ``last``. What it was doing is cancelled. May be called twice; a call begins anew."""
        self._refuse_itself()
        if (thread := self.abandon()) is not None:
            thread.join()

    def abandon(self) -> threading.Thread | None:
        """The same, but nobody waits for it. Thread: any. Returns the thread that ends, if there is one."""
        with self._lock:
            loop, thread, closing = self._loop, self._thread, self._closing
            self._loop = self._thread = None
            self._closing = asyncio.Event()
        if loop is not None:
            atexit.unregister(self.close)
            loop.call_soon_threadsafe(closing.set)
        return thread

    def _refuse_itself(self) -> None:
        if threading.current_thread() is self._thread:
            raise InvalidInput(
                "A progress function cannot call the TTS that calls it.",
                hint="Raise an exception in it to stop the speech, or leave the loop of generate_streaming.",
            )

    def _begin(self, work: Work[T]) -> _Job[T]:
        with self._lock:
            if self._loop is None:
                self._loop = self._start()
            return _Job(self._loop, work, self._jobs)

    def _start(self) -> asyncio.AbstractEventLoop:
        runner, closing, last, ready = asyncio.Runner(), self._closing, self._last, threading.Event()
        self._jobs = jobs = set[_Job[Any]]()

        def run() -> None:
            with runner:  # what still runs at its end is cancelled, and waited for
                runner.get_loop().call_soon(ready.set)
                runner.run(_until(closing, last))
            for job in tuple(jobs):
                job.fail()  # it came too late to be begun

        self._thread = threading.Thread(target=run, name="voice-mcp", daemon=True)
        self._thread.start()
        ready.wait()
        # A program that ends in the middle of something ends it, rather than tear it apart.
        atexit.register(self.close)
        return runner.get_loop()


async def _until(closing: asyncio.Event, last: Work[object]) -> None:
    await closing.wait()
    await last()


def closed() -> VoiceError:
    """What whoever still waits is told."""
    return VoiceError("It was closed while it was in use.", hint="Close it when nobody waits for it any more.")


class _Job(Generic[T]):
    """A coroutine that runs there. Its future is done when it is really over, also after a cancellation."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work[T], jobs: set[_Job[Any]]) -> None:
        self.future: Future[T] = Future()
        self._jobs = jobs
        jobs.add(self)
        self.future.set_running_or_notify_cancel()  # it is cancelled through the task alone
        self._loop = loop
        self._work: Work[T] | None = work
        self._task: asyncio.Task[T] | None = None
        self._is_unwanted = False
        loop.call_soon_threadsafe(self._start)

    def cancel(self) -> None:
        """Ask it to end. Thread: any."""
        self._is_unwanted = True
        self._loop.call_soon_threadsafe(self._cancel)

    def fail(self) -> None:
        """It will never be over."""
        self._jobs.discard(self)
        if not self.future.done():
            self.future.set_exception(closed())

    def _start(self) -> None:
        work, self._work = self._work, None  # it holds whoever gave it, who may be thrown away meanwhile
        assert work is not None
        self._task = self._loop.create_task(work())
        self._task.add_done_callback(self._over)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _over(self, task: asyncio.Task[T]) -> None:
        self._jobs.discard(self)
        if task.cancelled():
            # Whoever waits for it is cancelled too only where that is why.
            self.future.set_exception(asyncio.CancelledError() if self._is_unwanted else closed())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())
