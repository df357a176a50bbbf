"""Cancelling at one particular step: of all tasks of an event loop, counted together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any


class Steps:
    """Counts how often any task goes on, and cancels one at a step that was named.

    A task goes on from one await to the next, so the steps are the moments at which a cancellation can fall between
    two things that happen. While ``counted`` lasts every new task is counted; the code in them is not touched.
    """

    def __init__(self) -> None:
        self.count = 0
        """Steps since the last ``begin``."""
        self._at: int | None = None
        self._cancel: Callable[[], object] | None = None

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the tasks that are made in the block."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._make_task)
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def begin(self, work: Coroutine[Any, Any, Any], cancel_at: int | None = None) -> asyncio.Task[Any]:
        """Run ``work`` as a task; cancel it when that many steps have been made, 0 being before its own first."""
        task = asyncio.create_task(work)
        self.count = 0
        self._at, self._cancel = cancel_at, task.cancel
        if cancel_at == 0:
            task.cancel()
        return task

    def step(self) -> None:
        """A task goes on."""
        self.count += 1
        if self.count == self._at and self._cancel is not None:
            self._cancel()

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Stepwise(work, self.step), loop=loop, **options)


class _Stepwise(Coroutine[Any, Any, Any]):
    """A coroutine that tells of every step before it is made."""

    def __init__(self, work: Coroutine[Any, Any, Any], step: Callable[[], None]) -> None:
        self._work = work
        self._step = step

    def send(self, value: Any) -> Any:
        self._step()
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        self._step()
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._work.__await__()


async def is_cancelled(task: asyncio.Task[Any]) -> bool:
    """Wait for the end of a task: whether it was cancelled. Its failure is raised."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()
