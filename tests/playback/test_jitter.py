"""What is learnt from the way frames come."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.playback.jitter import Jitter

CHUNK_S = 0.085


def told(*arrivals: tuple[float, float]) -> Jitter:
    """Arrivals of so many seconds each, at these times."""
    jitter = Jitter()
    for audio_s, now_s in arrivals:
        jitter.add(audio_s, now_s)
    return jitter


def evenly(pace: float, seconds: float = 10.0, chunk_s: float = CHUNK_S) -> list[tuple[float, float]]:
    return [(chunk_s, 100 + index * chunk_s / pace) for index in range(round(seconds * pace / chunk_s))]


def test_of_one_arrival_nothing_is_learnt() -> None:
    jitter = told((5.0, 10.0))

    assert (jitter.pace, jitter.reserve_s, jitter.reserve_for(20.0)) == (None, 0.0, 0.0)


def test_of_a_pace_nothing_is_said_before_a_quarter_of_a_second_came() -> None:
    assert told(*evenly(0.5)[:3]).pace is None
    assert told(*evenly(0.5)[:5]).pace == pytest.approx(0.5)


@pytest.mark.parametrize("pace", [0.3, 0.9, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("chunk_s", [0.02, CHUNK_S, 0.4])
def test_the_pace_of_an_even_source_is_what_it_is(pace: float, chunk_s: float) -> None:
    assert told(*evenly(pace, 30.0, chunk_s)).pace == pytest.approx(pace)


def test_a_large_read_that_comes_in_pieces_is_one_arrival() -> None:
    pieces = [(CHUNK_S, 0.4 * read + 0.001 * piece) for read in range(10) for piece in range(4)]

    assert told(*pieces).pace == pytest.approx(4 * CHUNK_S / 0.4)


def test_what_comes_at_once_is_not_slow_and_needs_nothing() -> None:
    jitter = told(*[(CHUNK_S, 1.0)] * 100)

    assert jitter.pace is None
    assert jitter.reserve_for(20.0) == 0.0


def test_an_even_source_at_twice_the_pace_of_speech_needs_half_a_chunk() -> None:
    assert told(*evenly(2.0)).reserve_s == pytest.approx(CHUNK_S / 2)


def test_what_is_needed_is_the_furthest_fall_behind_and_not_the_last_one() -> None:
    jitter = told((1.0, 0.0), (0.1, 0.3), (0.1, 0.6), (0.8, 0.7), (0.1, 0.75), (0.1, 1.1))

    # At 0.7 s there had come 0.2 s since the start; from its best at 0.7 s on it never fell behind as far again.
    assert jitter.reserve_s == pytest.approx(0.5)


def test_an_outage_is_remembered_as_what_it_took_and_does_not_make_the_source_slow() -> None:
    before = evenly(1.5, 1.0)
    end_s = before[-1][1] + 1.0
    jitter = told(*before, *((CHUNK_S, end_s + index * CHUNK_S / 1.5) for index in range(5)))

    assert jitter.pace == pytest.approx(1.5)
    assert jitter.reserve_s == pytest.approx(1.0)
    assert jitter.reserve_for(20.0) == jitter.reserve_s


def test_from_a_slow_source_as_much_is_needed_as_it_will_fall_behind() -> None:
    assert told(*evenly(0.95, 10.0)).reserve_for(20.0) == pytest.approx(1.0)


def test_of_a_slow_source_that_is_hardly_known_worse_is_expected() -> None:
    assert told(*evenly(0.95, 2.0)).reserve_for(20.0) == pytest.approx(2.0)


def test_the_pace_is_the_one_of_late() -> None:
    slow = evenly(0.5, 10.0)
    then_s = slow[-1][1]
    fast = [(CHUNK_S, then_s + index * CHUNK_S / 2) for index in range(1, round(60 / CHUNK_S))]

    assert told(*slow, *fast).pace == pytest.approx(2.0, abs=0.1)


def test_time_that_was_not_the_sources_doing_makes_it_neither_late_nor_slow() -> None:
    jitter = told(*evenly(1.5, 3.0))
    pace, reserve_s = jitter.pace, jitter.reserve_s
    jitter.add(CHUNK_S, 200.0, excused_s=inf)
    for index in range(1, 20):
        jitter.add(CHUNK_S, 200.0 + index * CHUNK_S, excused_s=CHUNK_S)

    assert (jitter.pace, jitter.reserve_s) == (pace, reserve_s)
    for index in range(1, 40):
        jitter.add(CHUNK_S, 300.0 + index * CHUNK_S / 1.5, excused_s=inf if index == 1 else 0.0)
    assert jitter.pace == pytest.approx(1.5)


def test_after_time_that_was_not_the_sources_doing_it_owes_nothing() -> None:
    jitter = told((0.1, 0.0), (0.1, 0.5))
    jitter.add(0.1, 5.0, excused_s=inf)
    jitter.add(0.1, 5.3)

    assert jitter.reserve_s == pytest.approx(0.5)


def test_what_is_over_the_excused_time_was_late_all_the_same() -> None:
    jitter = told((CHUNK_S, 0.0))
    jitter.add(CHUNK_S, 1.0, excused_s=0.4)

    assert jitter.reserve_s == pytest.approx(0.6)


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(0, 1.0)), min_size=2, max_size=40))
def test_whoever_holds_the_reserve_when_sound_starts_hears_no_gap(steps: list[tuple[float, float]]) -> None:
    now_s, arrivals = 0.0, []
    for audio_s, later_s in steps:
        arrivals.append((audio_s, now_s))
        now_s += later_s
    jitter = told(*arrivals)
    assert jitter.pace is None or jitter.pace > 0
    held_s, heard_at_s = jitter.reserve_s, 0.0
    for index, (audio_s, at_s) in enumerate(arrivals):
        held_s -= at_s - heard_at_s
        heard_at_s = at_s
        assert held_s >= -1e-9
        held_s += audio_s if index else 0.0  # the first is a part of what is held when it starts
