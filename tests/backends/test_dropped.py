"""Which periods ALSA has dropped: told by whether the device waited longer for one, or for the one after it."""

from __future__ import annotations

import pytest

from voice_mcp.backends._dropped import DroppedPeriods

LATENCY_S = 0.03
PERIOD_S = 0.01


class Device:
    """A device that asks for a period each ``PERIOD_S``, and for more time where it is told so."""

    def __init__(self) -> None:
        self.periods = DroppedPeriods(PERIOD_S, LATENCY_S)
        self.now_s = 100.0
        for _ in range(5):
            self.ask()

    def ask(self, *, after_s: float = PERIOD_S, takes_s: float = 0.0, ran_dry: bool = False) -> bool:
        """Whether the period before was dropped."""
        self.now_s += after_s
        dropped = self.periods.asked(self.now_s, ran_dry=ran_dry)
        self.now_s += takes_s
        self.periods.given(self.now_s)
        return dropped


@pytest.fixture
def device() -> Device:
    return Device()


def test_a_period_that_was_made_too_late_has_been_dropped(device: Device) -> None:
    device.ask(takes_s=0.05)
    assert device.ask(after_s=0.001, ran_dry=True)


def test_a_period_that_was_asked_for_too_late_has_been_dropped(device: Device) -> None:
    device.ask(after_s=0.05)
    assert device.ask(after_s=0.02, ran_dry=True)


def test_a_period_has_been_dropped_that_was_a_little_late_for_a_device_that_had_not_filled_up_again(
    device: Device,
) -> None:
    device.ask(takes_s=0.02)
    device.ask(after_s=0.001, takes_s=0.025)
    assert device.ask(after_s=0.001, ran_dry=True)


def test_a_device_that_runs_dry_after_a_period_has_taken_it(device: Device) -> None:
    assert not device.ask(after_s=0.08, ran_dry=True)


def test_of_two_waits_the_longer_one_is_when_it_ran_dry(device: Device) -> None:
    device.ask(takes_s=0.035)
    assert not device.ask(after_s=0.08, ran_dry=True)


def test_after_a_wait_that_no_device_outlives_the_one_after_it_tells_nothing(device: Device) -> None:
    device.ask(takes_s=0.1)
    assert device.ask(after_s=0.16, ran_dry=True)


def test_a_late_period_is_taken_where_the_device_does_not_run_dry(device: Device) -> None:
    device.ask(takes_s=0.05)
    assert not device.ask()


def test_each_is_dropped_once(device: Device) -> None:
    device.ask(takes_s=0.05)
    assert device.ask(after_s=0.001, ran_dry=True)
    assert not device.ask(ran_dry=True)
    assert not device.ask()


def test_a_device_that_begins_has_dropped_nothing() -> None:
    assert not DroppedPeriods(PERIOD_S, LATENCY_S).asked(1.0, ran_dry=True)
