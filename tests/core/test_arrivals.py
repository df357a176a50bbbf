"""What is learnt from the way audio comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.arrivals import LEAD_S, Arrivals

CHUNK_S = 0.085


def told(*arrivals: tuple[float, float]) -> Arrivals:
    """Arrivals of so many seconds each, at these times."""
    learnt, received_s = Arrivals(), 0.0
    for seconds, at_s in arrivals:
        received_s += seconds
        learnt.add(received_s, at_s)
    return learnt


def test_of_one_arrival_nothing_is_learnt() -> None:
    learnt = told((0.5, 10.0))

    assert (learnt.pace, learnt.reserve_s) == (None, 0.0)


def test_an_even_sender_at_twice_the_speed_of_speech_needs_half_a_chunk_in_hand() -> None:
    learnt = told(*((CHUNK_S, 5 + index * CHUNK_S / 2) for index in range(10)))

    assert learnt.pace == pytest.approx(2.0)
    assert learnt.reserve_s == pytest.approx(CHUNK_S / 2)


def test_a_late_chunk_is_the_reserve_that_was_needed() -> None:
    learnt = told((0.1, 0.0), (0.1, 0.05), (0.1, 0.3), (0.3, 0.31))

    # At 0.05 s there was 0.15 s ahead; at 0.3 s the ear was 0.1 s short of what it had had.
    assert learnt.reserve_s == pytest.approx(0.25)


def test_a_sender_slower_than_speech_needs_ever_more() -> None:
    learnt = told(*((0.09, index * 0.1) for index in range(100)))

    assert learnt.pace == pytest.approx(0.9)
    assert learnt.reserve_s == pytest.approx(99 * 0.01 + 0.09)


def test_what_comes_at_once_has_a_pace_but_needs_nothing() -> None:
    learnt = told((0.1, 1.0), (0.1, 1.0), (0.1, 1.0))

    assert learnt.pace is not None
    assert learnt.pace > 1000
    assert learnt.reserve_s == 0


def test_once_the_ear_sets_the_pace_nothing_more_is_learnt() -> None:
    at_once = [(0.2, 0.0) for _ in range(int(LEAD_S / 0.2) + 2)]
    learnt = told(*at_once)
    slowed = told(*at_once, *((0.1, 2.0 + index) for index in range(20)))

    assert (slowed.pace, slowed.reserve_s) == (learnt.pace, learnt.reserve_s)


@given(st.lists(st.tuples(st.floats(0.001, 0.2), st.floats(0, 0.3)), min_size=2, max_size=40))
def test_whoever_has_the_reserve_in_hand_when_sound_starts_hears_no_gap(steps: list[tuple[float, float]]) -> None:
    at_s, arrivals = 0.0, []
    for seconds, later_s in steps:
        arrivals.append((seconds, at_s))
        at_s += later_s
    learnt = told(*arrivals)

    held_s, heard_at_s, furthest_s = learnt.reserve_s, 0.0, 0.0
    for seconds, now_s in arrivals[1:]:
        held_s -= now_s - heard_at_s
        heard_at_s = now_s
        if furthest_s > LEAD_S:
            break
        assert held_s >= -1e-9
        held_s += seconds
        furthest_s = max(furthest_s, held_s - learnt.reserve_s)
