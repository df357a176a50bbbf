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


class Machine:
    """A machine that can be closed, and whose calendar can be set."""

    def __init__(self) -> None:
        self.count_s = 100.0
        self.calendar = datetime(2030, 6, 1, 12, tzinfo=UTC)

    @property
    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.count_s, lambda: self.calendar)

    def run(self, seconds: float) -> None:
        """Time passes."""
        self.count_s += seconds
        self.set(seconds)

    def set(self, seconds: float) -> None:
        """Somebody sets the calendar; or the machine sleeps, and its counter does not count it."""
        self.calendar += timedelta(seconds=seconds)


def test_after_an_hour_of_sleep_the_calendar_is_right_again() -> None:
    machine = Machine()
    clock = machine.clock
    machine.run(10)
    machine.set(3600)
    machine.run(10)

    assert clock.utc() == machine.calendar
    assert clock.now() == 120.0
    machine.run(5)
    assert clock.utc() == machine.calendar


def test_a_sleep_that_the_counter_counts_is_not_counted_twice() -> None:
    machine = Machine()
    clock = machine.clock
    machine.run(3600)

    assert clock.utc() == machine.calendar


@pytest.mark.parametrize("seconds", [-1.0, -3600.0, -86_400.0 * 400])
def test_a_calendar_that_is_set_back_is_not_followed(seconds: float) -> None:
    machine = Machine()
    clock = machine.clock
    before = clock.utc()
    machine.set(seconds)
    machine.run(2)

    assert clock.utc() == before + timedelta(seconds=2)


def test_whatever_is_done_to_the_calendar_times_rise_in_the_order_in_which_they_are_asked_for() -> None:
    machine = Machine()
    clock = machine.clock
    dates = []
    for step in (0.0, 3600.0, -7200.0, 0.4, -0.4, 86_400.0, -86_400.0 * 30, 1.5):
        machine.set(step)
        dates.append(clock.utc())
        machine.run(0.01)
        dates.append(clock.utc(clock.now() - 0.005))

    assert dates == sorted(dates)


def test_drift_is_no_step() -> None:
    machine = Machine()
    clock = machine.clock
    before = clock.utc()
    machine.set(0.9)

    assert clock.utc() == before
