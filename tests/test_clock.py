from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voice_mcp.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_when_told_to_and_not_otherwise() -> None:
    clock = ManualClock(start_s=5.0)
    assert clock.now() == clock.now() == 5.0
    clock.advance(2.5)

    assert clock.now() == 7.5


def test_the_calendar_of_a_manual_clock_goes_with_it() -> None:
    start = datetime(2030, 6, 1, 12, tzinfo=UTC)
    clock = ManualClock(start_s=5.0, start_utc=start)
    clock.advance(90.0)

    assert clock.utc() == start + timedelta(seconds=90)
    assert clock.utc(5.0) == start


def test_the_systems_counter_and_calendar_never_run_backwards() -> None:
    clock = SystemClock()
    moments = [clock.now() for _ in range(1000)]
    dates = [clock.utc() for _ in range(1000)]

    assert moments == sorted(moments)
    assert dates == sorted(dates)


def test_the_calendar_knows_the_time_of_an_earlier_moment() -> None:
    clock = SystemClock()
    now_s = clock.now()

    assert clock.utc(now_s - 60) == pytest.approx(
        clock.utc(now_s) - timedelta(seconds=60), abs=timedelta(milliseconds=1)
    )
    assert clock.utc().tzinfo is UTC
