"""Who is asked, and who is left alone for a while."""

from __future__ import annotations

import pytest

from voice_mcp.clock import ManualClock
from voice_mcp.core.failover import FIRST_REST_S, LONGEST_REST_S, Roster
from voice_mcp.errors import EngineBusy, EngineError, EngineStalled, EngineUnreachable
from voice_mcp.tts.tone import ToneEngine

REFUSED = EngineUnreachable("It refused the connection.")


class Three:
    """Three engines, of which the first is most wanted."""

    def __init__(self) -> None:
        self.clock = ManualClock(start_s=1000.0)
        self.first, self.second, self.third = self.engines = (ToneEngine(), ToneEngine(), ToneEngine())
        self.roster = Roster(self.engines, self.clock)


@pytest.fixture
def three() -> Three:
    return Three()


def test_engines_are_asked_in_the_order_of_preference(three: Three) -> None:
    assert three.roster.candidates() == list(three.roster.engines) == list(three.engines)


def test_an_engine_that_failed_is_left_alone_for_30_s(three: Three) -> None:
    three.roster.failed(three.first, REFUSED)
    assert three.roster.candidates() == [three.second, three.third]
    assert three.roster.rests_for_s(three.first) == FIRST_REST_S == 30
    three.clock.advance(29.9)
    assert three.first not in three.roster.candidates()
    three.clock.advance(0.2)

    assert three.roster.candidates() == list(three.engines)


def test_each_further_failure_in_a_row_doubles_the_rest_up_to_15_minutes(three: Three) -> None:
    rests = []
    for _ in range(7):
        three.roster.failed(three.first, REFUSED)
        rests.append(three.roster.rests_for_s(three.first))
        three.clock.advance(rests[-1])

    assert rests == [30, 60, 120, 240, 480, 900, 900]


def test_an_engine_may_fail_as_often_as_it_likes(three: Three) -> None:
    for _ in range(3000):
        three.roster.failed(three.first, REFUSED)

    assert three.roster.rests_for_s(three.first) == LONGEST_REST_S


@pytest.mark.parametrize(
    ("asked_s", "rest_s"), [(2.5, 2.5), (0.0, 0.0), (120.0, 120.0), (86_400.0, 900.0), (-5.0, 0.0)]
)
def test_an_engine_that_says_when_to_come_back_is_left_alone_that_long(
    three: Three, asked_s: float, rest_s: float
) -> None:
    three.roster.failed(three.first, EngineBusy("Too many requests.", retry_after_s=asked_s))

    assert three.roster.rests_for_s(three.first) == rest_s


def test_a_busy_engine_that_does_not_say_when_rests_like_any_other(three: Three) -> None:
    three.roster.failed(three.first, EngineBusy("Overloaded."))

    assert three.roster.rests_for_s(three.first) == FIRST_REST_S


def test_an_engine_that_spoke_starts_afresh(three: Three) -> None:
    for _ in range(4):
        three.roster.failed(three.first, REFUSED)
    three.roster.worked(three.first)
    assert three.roster.candidates() == list(three.engines)
    assert three.roster.last_error(three.first) is None
    three.roster.failed(three.first, REFUSED)

    assert three.roster.rests_for_s(three.first) == FIRST_REST_S


def test_when_all_rest_all_are_asked_because_silence_is_worse(three: Three) -> None:
    for engine in three.engines:
        three.roster.failed(engine, REFUSED)

    assert three.roster.candidates() == list(three.engines)


def test_one_engines_failures_are_not_held_against_another(three: Three) -> None:
    three.roster.failed(three.second, REFUSED)

    assert three.roster.rests_for_s(three.first) == 0
    assert three.roster.candidates() == [three.first, three.third]


def test_the_last_reason_is_remembered(three: Three) -> None:
    reasons: list[EngineError] = [REFUSED, EngineStalled("It stopped.")]
    for reason in reasons:
        three.roster.failed(three.first, reason)

    assert three.roster.last_error(three.first) is reasons[-1]
    assert three.roster.last_error(three.second) is None


def test_an_engine_that_is_woken_is_asked_again_but_its_failures_count_until_it_has_spoken(three: Three) -> None:
    three.roster.failed(three.first, REFUSED)
    three.roster.wake(three.first)
    assert three.roster.candidates() == list(three.engines)
    three.roster.failed(three.first, REFUSED)

    assert three.roster.rests_for_s(three.first) == 2 * FIRST_REST_S
