"""Time: one counter for durations, one calendar that never runs backwards.

``now()`` counts seconds on a clock that every process of this machine shares (CLOCK_MONOTONIC, mach_absolute_time,
QueryPerformanceCounter), so a moment taken in the audio process can be compared with one taken in the server.
"""

from __future__ import annotations

import time
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


class SystemClock:
    """The machine's clock. The calendar is read once and advanced by the counter, so it never runs backwards."""

    def __init__(self) -> None:
        self._epoch_s = time.perf_counter()
        self._epoch_utc = datetime.now(UTC)

    def now(self) -> float:
        return time.perf_counter()

    def utc(self, now_s: float | None = None) -> datetime:
        elapsed_s = (self.now() if now_s is None else now_s) - self._epoch_s
        return self._epoch_utc + timedelta(seconds=elapsed_s)


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
