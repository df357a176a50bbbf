"""Time: one counter for durations, one calendar that never runs backwards.

``now()`` counts seconds on a clock that every process of this machine shares (CLOCK_MONOTONIC, mach_absolute_time,
QueryPerformanceCounter), so a moment taken in the audio process can be compared with one taken in the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> float:
        """Seconds since an arbitrary moment; only differences mean anything."""
        ...

    def utc(self, now_s: float | None = None) -> datetime:
        """The calendar time of the moment ``now_s`` (default: this one)."""
        ...


STEP_S = 1.0
"""By so much the machine's calendar has to be ahead before it is followed: less is the drift of two clocks."""


def _machine_utc() -> datetime:
    return datetime.now(UTC)


class SystemClock:
    """The machine's clock.

    The calendar is advanced by the counter, so it never runs backwards, whoever sets the machine's back. Where that one
    is ahead it is followed: somebody has set it, or the machine slept, which the counter does not count everywhere.

    Thread: any.

    Args:
        count: The counter, in seconds.
        machine_utc: The machine's calendar, which may be set at any time.
    """

    def __init__(
        self, count: Callable[[], float] = time.perf_counter, machine_utc: Callable[[], datetime] = _machine_utc
    ) -> None:
        self._count = count
        self._machine_utc = machine_utc
        self._base = count(), machine_utc()  # replaced as a whole, so that every thread sees two that belong together

    def now(self) -> float:
        return self._count()

    def utc(self, now_s: float | None = None) -> datetime:
        counted_s, epoch = self._base
        present_s = self.now()
        machine = self._machine_utc()
        if machine - epoch > timedelta(seconds=present_s - counted_s + STEP_S):
            counted_s, epoch = self._base = present_s, machine
        elapsed_s = (present_s if now_s is None else now_s) - counted_s
        return epoch + timedelta(seconds=elapsed_s)


class ManualClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, start_s: float = 0.0, start_utc: datetime | None = None) -> None:
        self._now_s = start_s
        self._start_s = start_s
        self._start_utc = start_utc or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> float:
        return self._now_s

    def utc(self, now_s: float | None = None) -> datetime:
        elapsed_s = (self._now_s if now_s is None else now_s) - self._start_s
        return self._start_utc + timedelta(seconds=elapsed_s)

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds`` seconds."""
        self._now_s += seconds
