"""A thread that works for others: what it is given is done there, and what is cancelled is over."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from voice_mcp.errors import InvalidInput, VoiceError
from voice_mcp.library.workshop import Workshop

WAIT_S = 10.0


def test_a_caller_without_a_loop_gets_the_result_and_the_error() -> None:
    workshop = Workshop()

    async def where() -> str:
        return threading.current_thread().name

    async def fail() -> None:
        raise LookupError("not here")

    assert workshop.call(where) == "voice-mcp"
    with pytest.raises(LookupError, match="not here"):
        workshop.call(fail)
    workshop.close()


@pytest.mark.anyio
@pytest.mark.parametrize("times", [1, 3])
async def test_a_caller_s_cancellation_returns_when_the_work_is_over(times: int) -> None:
    workshop, steps = Workshop(), list[str]()
    begun, tidy = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(tidy.wait, WAIT_S)  # lets others run; whoever cancelled must not
            steps.append("tidied")

    complaints = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = asyncio.create_task(workshop.acall(work))
    async with asyncio.timeout(WAIT_S):
        await asyncio.to_thread(begun.wait, WAIT_S)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        tidy.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        steps.append("returned")
    assert steps == ["tidied", "returned"]
    workshop.close()
    del task
    gc.collect()
    assert complaints == []


def test_closing_ends_what_runs_and_a_later_call_begins_anew() -> None:
    workshop, ended = Workshop(), threading.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def answer() -> int:
        return 42

    assert workshop.call(answer) == 42
    workshop.soon(work)
    assert workshop.call(answer) == 42
    workshop.close()
    workshop.close()
    assert ended.wait(WAIT_S)
    assert workshop.call(answer) == 42
    workshop.close()


def test_whoever_waits_when_it_is_closed_is_told() -> None:
    workshop, begun = Workshop(), threading.Event()
    told = list[VoiceError]()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    def wait() -> None:
        try:
            workshop.call(work)
        except VoiceError as exc:
            told.append(exc)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert begun.wait(WAIT_S)
    workshop.close()
    waiter.join(WAIT_S)
    assert ["closed" in exc.message for exc in told] == [True]


def test_the_last_thing_is_done_before_the_thread_ends() -> None:
    done = list[str]()

    async def last() -> None:
        done.append(threading.current_thread().name)

    async def answer() -> int:
        return 42

    workshop = Workshop(last)
    workshop.call(answer)
    workshop.close()
    workshop.close()
    assert done == ["voice-mcp"]


def test_what_is_done_there_cannot_wait_for_itself() -> None:
    workshop = Workshop()

    async def answer() -> int:
        return 42

    async def wait_for_itself() -> int:
        return workshop.call(answer)

    async def close_itself() -> None:
        workshop.close()

    for work in (wait_for_itself, close_itself):
        with pytest.raises(InvalidInput):
            workshop.call(work)
    workshop.close()


def test_work_for_a_closed_workshop_that_nobody_waits_for_is_left_undone() -> None:
    workshop = Workshop()

    async def work() -> None:
        raise AssertionError("nobody is there to do it")

    before = threading.active_count()
    workshop.soon(work)
    assert threading.active_count() == before
