"""How much of an engine's audio is collected before it sounds."""

from __future__ import annotations

import pytest

from voice_mcp.clock import ManualClock
from voice_mcp.core.pacing import LEAST_PREBUFFER_S, SpeechRoster
from voice_mcp.tts.tone import ToneEngine


class Server(ToneEngine):
    """An engine that would be reached over a connection."""

    @property
    def is_remote(self) -> bool:
        return True


def test_of_a_server_nobody_has_heard_as_much_is_collected_as_may_be() -> None:
    engine = Server()

    assert SpeechRoster([engine], ManualClock()).prebuffer_s(engine, 0.15) == 0.15


def test_of_an_engine_on_this_machine_little_is_collected_from_the_first_word_on() -> None:
    engine = ToneEngine()

    assert SpeechRoster([engine], ManualClock()).prebuffer_s(engine, 0.15) == LEAST_PREBUFFER_S


def test_little_is_collected_for_a_fast_engine_and_most_for_a_slow_one() -> None:
    engine = Server()
    roster = SpeechRoster([engine], ManualClock())
    roster.came(engine, 6.0, 0.0)
    assert roster.prebuffer_s(engine, 0.15) == LEAST_PREBUFFER_S
    assert roster.prebuffer_s(engine, 0.01) == 0.01
    for _ in range(8):
        roster.came(engine, 1.0, 0.0)

    assert roster.prebuffer_s(engine, 0.15) == 0.15


def test_what_a_server_needed_in_hand_is_collected_the_next_time_and_slowly_forgotten() -> None:
    engine = Server()
    roster = SpeechRoster([engine], ManualClock())
    roster.came(engine, 3.0, 0.1)
    collected = [roster.prebuffer_s(engine, 0.15)]
    for _ in range(12):
        roster.came(engine, 3.0, 0.0)
        collected.append(roster.prebuffer_s(engine, 0.15))

    assert collected[0] == pytest.approx(0.125)
    assert collected == sorted(collected, reverse=True)
    assert collected[3] > LEAST_PREBUFFER_S
    assert collected[-1] == LEAST_PREBUFFER_S


def test_a_worse_call_is_believed_at_once() -> None:
    engine = Server()
    roster = SpeechRoster([engine], ManualClock())
    roster.came(engine, 3.0, 0.0)
    roster.came(engine, 3.0, 0.5)

    assert roster.prebuffer_s(engine, 0.15) == 0.15


def test_what_is_known_of_its_pace_outlives_a_success() -> None:
    engine = Server()
    roster = SpeechRoster([engine], ManualClock())
    roster.came(engine, 6.0, 0.0)
    roster.worked(engine)

    assert roster.prebuffer_s(engine, 0.15) == LEAST_PREBUFFER_S
