"""Whether what sounds like speech is an echo that is left over, from three sounds."""

from __future__ import annotations

from array import array

import pytest

from voice_mcp.core.echo_guard import AUDIBLE_RMS, ECHOES_S, LEARNING_DB, SETTLED_DB, SETTLED_S, EchoGuard

WINDOW_FRAMES = 512
WINDOW_S = 0.032
SPEECH_S = 0.2
PLAYED = 3_000


def at(level: float) -> bytes:
    return array("h", [round(level), -round(level)] * (WINDOW_FRAMES // 2)).tobytes()


def guard(*, settled: bool = True) -> EchoGuard:
    made = EchoGuard(WINDOW_S, SPEECH_S)
    if settled:
        for _ in range(round(SETTLED_S / WINDOW_S) + 1):
            made.add(at(0), at(0), at(PLAYED))
    return made


def fed(made: EchoGuard, heard: float, left: float, seconds: float = ECHOES_S) -> EchoGuard:
    for _ in range(round(seconds / WINDOW_S)):
        made.add(at(heard), at(left), at(PLAYED))
    return made


@pytest.mark.parametrize(("settled", "most_db"), [(True, SETTLED_DB), (False, LEARNING_DB)])
def test_what_was_taken_out_for_the_most_part_is_an_echo(settled: bool, most_db: float) -> None:
    heard = 10_000
    assert fed(guard(settled=settled), heard, heard * 10 ** (-(most_db + 1) / 20), 1.0).is_echo
    assert not fed(guard(settled=settled), heard, heard * 10 ** (-(most_db - 1) / 20), 1.0).is_echo


def test_before_anything_is_heard_there_is_no_echo() -> None:
    assert not EchoGuard(WINDOW_S, SPEECH_S).is_echo


def test_what_a_hall_still_says_after_the_agent_is_an_echo() -> None:
    hall = fed(guard(), 5_000, 100)
    assert fed(hall, 400, 380, SPEECH_S).is_echo, "nothing is taken out any more, but it was loud a moment ago"
    assert not fed(hall, 400, 380, ECHOES_S).is_echo


def test_a_canceller_learns_only_while_the_agent_can_be_heard() -> None:
    made = EchoGuard(WINDOW_S, SPEECH_S)
    for _ in range(1_000):
        made.add(at(500), at(500), at(AUDIBLE_RMS / 2))
    assert not made.is_settled
    fed(made, 500, 100, SETTLED_S + 0.1)
    assert made.is_settled
