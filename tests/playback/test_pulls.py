"""What is learnt from the times at which a device asks for frames.

``pull_times.json`` has times that PortAudio asked at, every 10 ms of 24 kHz, over a PulseAudio whose card was read
back: how long the gaps were that the card got, and which requests came with PortAudio's own word of one.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.playback.pulls import LEARN_S, Pulls

RATE_HZ = 24_000
PERIOD_FRAMES = 240
PERIOD_S = PERIOD_FRAMES / RATE_HZ
LATENCY_S = 0.03
NEAR_S = 0.006
"""Half of what the card takes at a time, and so of what a gap's length is known to."""


class Take(TypedDict):
    gaps_ms: list[int]
    told_at: list[int]
    at_tenth_ms: list[int]


TAKES: dict[str, Take] = json.loads(Path(__file__).with_name("pull_times.json").read_text())


class Card:
    """A device that plays evenly, and asks for as many periods as there is room for when it gets to it.

    Args:
        holds_s: How much it holds, in seconds.
        latency_s: How much it says that it holds.
        slow: How much slower than told its clock is: 0.0003 is 300 ppm.
    """

    def __init__(self, holds_s: float = LATENCY_S, *, latency_s: float = LATENCY_S, slow: float = 0.0) -> None:
        self.pulls = Pulls(RATE_HZ, latency_s)
        self.gaps_s: list[float] = []
        self.played_dry_s = 0.0
        self._holds_s = holds_s
        self._pace = 1.0 - slow
        self._held_s = 0.0
        self._at_s = 100.0
        self._fill(in_sound=False)

    def asks(self, after_s: float, *, in_sound: bool = True, told: bool = False) -> None:
        """Time passes, and it asks for all it has room for."""
        self._at_s += after_s
        self._held_s -= after_s * self._pace
        if self._held_s < 0:
            self.played_dry_s, self._held_s = self.played_dry_s - self._held_s, 0.0
        if told and (told_s := self.pulls.told(self._at_s)) is not None:
            self.gaps_s.append(told_s)
        self._fill(in_sound=in_sound)

    def _fill(self, *, in_sound: bool) -> None:
        while self._held_s + PERIOD_S <= self._holds_s + 1e-9:
            gap_s = self.pulls.pulled(PERIOD_FRAMES, self._at_s, in_sound=in_sound)
            self._held_s += PERIOD_S
            if gap_s is not None:
                self.gaps_s.append(gap_s)

    def goes_on(self, seconds: float, every_s: float = PERIOD_S) -> None:
        """It asks evenly."""
        for _ in range(round(seconds / every_s)):
            self.asks(every_s)


def noticed_in(take: Take, *, with_flag: bool = True) -> list[float]:
    pulls, gaps_s = Pulls(RATE_HZ, LATENCY_S), []
    for index, tenth_ms in enumerate(take["at_tenth_ms"]):
        now_s = tenth_ms / 10_000
        told_s = pulls.told(now_s) if with_flag and index in take["told_at"] else None
        noticed_s = pulls.pulled(PERIOD_FRAMES, now_s, in_sound=True)
        gaps_s += [gap_s for gap_s in (told_s, noticed_s) if gap_s is not None]
    return gaps_s


@pytest.mark.parametrize("name", TAKES)
def test_of_a_real_device_the_gaps_of_its_card_are_told_and_no_others(name: str) -> None:
    assert noticed_in(TAKES[name]) == pytest.approx([ms / 1000 for ms in TAKES[name]["gaps_ms"]], abs=NEAR_S)


def test_a_gap_the_device_told_of_would_have_been_noticed_without_its_word() -> None:
    take = TAKES["told"]

    assert take["told_at"]
    assert noticed_in(take, with_flag=False) == pytest.approx([take["gaps_ms"][0] / 1000], abs=NEAR_S)


@pytest.mark.parametrize("gap_s", [0.02, 0.05, 0.2, 1.5])
def test_a_device_that_asks_too_late_has_run_dry_for_as_long_as_it_has_nothing(gap_s: float) -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(LATENCY_S + gap_s)
    card.goes_on(1.0)

    assert card.gaps_s == pytest.approx([card.played_dry_s], abs=0.001)


def test_each_of_several_gaps_is_told_of_once() -> None:
    card = Card()
    card.goes_on(1.0)
    for _ in range(5):
        card.asks(0.1)
        card.goes_on(0.3)

    assert sum(card.gaps_s) == pytest.approx(card.played_dry_s, abs=0.005)
    assert len(card.gaps_s) == 5


def test_two_gaps_with_a_buffer_of_sound_between_them_are_two() -> None:
    card = Card(0.06)
    card.goes_on(1.0)
    card.asks(0.12)
    card.asks(0.12)
    card.goes_on(0.3)

    assert len(card.gaps_s) == 2


def test_the_gap_a_device_tells_of_is_not_counted_again() -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.1, told=True)
    card.goes_on(1.0)

    assert card.gaps_s == pytest.approx([card.played_dry_s], abs=0.012)


@pytest.mark.parametrize("later_s", [PERIOD_S, 0.02, 0.1, 0.2])
def test_a_device_that_tells_of_a_gap_a_moment_later_tells_of_the_same(later_s: float) -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.1)
    card.goes_on(later_s - PERIOD_S)
    card.asks(PERIOD_S, told=True)
    card.goes_on(1.0)

    assert len(card.gaps_s) == 1


def test_a_device_that_tells_of_a_gap_twice_had_one() -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.1, told=True)
    card.asks(PERIOD_S, told=True)
    card.goes_on(1.0)

    assert len(card.gaps_s) == 1


def test_a_device_that_tells_of_two_gaps_on_end_had_two() -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.1, told=True)
    card.asks(0.1, told=True)
    card.goes_on(1.0)

    assert len(card.gaps_s) == 2


def test_what_a_device_tells_of_and_what_it_does_not_are_both_counted() -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.1)
    card.goes_on(0.1)
    card.asks(0.1, told=True)
    card.goes_on(1.0)
    card.asks(0.1)
    card.goes_on(0.1)

    assert len(card.gaps_s) == 3


def test_a_gap_told_of_by_a_device_of_which_nothing_is_known_has_no_length() -> None:
    assert Pulls(RATE_HZ, LATENCY_S).told(1.0) == 0.0


def test_silence_that_tears_no_sound_is_not_told_of() -> None:
    card = Card()
    card.goes_on(1.0)
    card.asks(0.2, in_sound=False)
    card.goes_on(1.0)

    assert card.played_dry_s > 0.1
    assert card.gaps_s == []


def test_the_clock_of_a_device_may_drift_for_an_hour() -> None:
    for slow in (0.0005, -0.0005):
        card = Card(slow=slow)
        card.goes_on(3600 / 60)
        card.asks(LATENCY_S - 0.001)
        card.goes_on(1.0)
        assert card.gaps_s == []


def test_a_sound_server_that_takes_a_quantum_at_a_time_makes_no_gap() -> None:
    card = Card(holds_s=0.1)
    card.goes_on(5.0, every_s=0.085)

    assert card.gaps_s == []


def test_a_device_that_fills_its_buffers_first_has_not_run_dry_when_that_is_done() -> None:
    pulls = Pulls(RATE_HZ, LATENCY_S)
    for index in range(9):
        assert pulls.pulled(PERIOD_FRAMES, index * 0.0001, in_sound=True) is None
    for index in range(100):
        assert pulls.pulled(PERIOD_FRAMES, 0.08 + 0.06 + index * PERIOD_S, in_sound=True) is None


@given(
    st.floats(0.02, 0.2),
    st.lists(st.floats(0.0, 1.0), min_size=50, max_size=300),
    st.floats(-0.0005, 0.0005),
)
def test_no_gap_is_ever_reported_of_a_device_that_asks_unevenly_but_in_time(
    holds_s: float, lateness: list[float], slow: float
) -> None:
    card = Card(holds_s, latency_s=holds_s, slow=slow)
    for share in lateness:
        card.asks(share * (holds_s - PERIOD_S) * 0.999)

    assert card.played_dry_s == 0.0
    assert card.gaps_s == []


@given(st.lists(st.floats(0.0, 0.2), min_size=50, max_size=300))
def test_never_more_gaps_are_reported_than_times_the_device_ran_dry(pauses_s: list[float]) -> None:
    card, dry = Card(), [0.0]
    for pause_s in pauses_s:
        card.asks(pause_s)
        dry.append(card.played_dry_s)

    assert len(card.gaps_s) <= sum(later > before for before, later in pairwise(dry))


def test_what_happens_while_a_device_is_new_is_not_judged() -> None:
    card = Card()
    card.goes_on(LEARN_S / 2)
    card.asks(0.1)
    card.goes_on(1.0)

    assert card.gaps_s == []
