"""Waiting for something that tells nobody when it happens: looked at every 5 ms, and never for ever.

Whatever can wake its waiter (a condition, an event, a process's end) is to be waited for directly; these two are for
what cannot: a process that disappears, a file that appears, a socket that begins to answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.005


def eventually(predicate: Callable[[], T], timeout_s: float, what: str = "the condition") -> T:
    """Look until ``predicate`` returns something true, and return that.

    Args:
        predicate: Called at least once, in this thread.
        timeout_s: How long at most.
        what: Named in the failure.

    Raises:
        AssertionError: It did not become true in time.
    """
    never = threading.Event()
    deadline_s = time.perf_counter() + timeout_s
    while not (value := predicate()):
        if time.perf_counter() >= deadline_s:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        never.wait(LOOK_EVERY_S)
    return value


async def eventually_async(predicate: Callable[[], T], timeout_s: float, what: str = "the condition") -> T:
    """As ``eventually``, while the event loop goes on."""
    never = asyncio.Event()
    deadline_s = time.perf_counter() + timeout_s
    while not (value := predicate()):
        if time.perf_counter() >= deadline_s:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        try:
            await asyncio.wait_for(never.wait(), LOOK_EVERY_S)
        except TimeoutError:
            continue
    return value
