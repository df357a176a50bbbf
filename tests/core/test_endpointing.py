"""Decisions from probabilities alone: no sound, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.endpointing import (
    Decision,
    Endpointer,
    NobodySpoke,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TooLong,
    TurnEnded,
    TurnRules,
)
from voice_mcp.core.pauses import LONGEST_SHARE, SHORTEST_SHARE, Pauses

WINDOW_S = 0.032
ENDS = (NobodySpoke, TooLong, TurnEnded)
PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), st.integers(1, 80)).map(lambda run: [run[0]] * run[1]),
    max_size=30,
).map(lambda runs: [probability for run in runs for probability in run])


def windows(seconds: float, probability: float) -> list[float]:
    return [probability] * math.ceil(seconds / WINDOW_S)


def speech(seconds: float) -> list[float]:
    return windows(seconds, 0.95)


def silence(seconds: float) -> list[float]:
    return windows(seconds, 0.02)


def decide(
    probabilities: Iterable[float], rules: TurnRules | None = None, pauses: Pauses | None = None
) -> list[Decision]:
    endpointer = Endpointer(WINDOW_S, pauses or Pauses(1.0), rules)
    return [decision for each in probabilities if (decision := endpointer.add(each)) is not None]


def kinds(decisions: Iterable[Decision]) -> list[type[Decision]]:
    return [type(decision) for decision in decisions]


def test_a_turn_starts_pauses_goes_on_and_ends() -> None:
    turn = silence(0.5) + speech(1.0) + silence(0.5) + speech(1.0) + silence(2.0)
    assert kinds(decide(turn)) == [SpeechStarted, SpeechPaused, SpeechResumed, SpeechPaused, TurnEnded]


def test_the_start_says_when_speech_began_and_what_to_keep_from_before() -> None:
    (started,) = decide(silence(0.96) + speech(0.2), TurnRules(pre_roll_s=0.4))
    assert isinstance(started, SpeechStarted)
    assert (started.speech_s, started.keep_s) == pytest.approx((0.96, 0.56))
    assert started.at_s == pytest.approx(0.96 + 3 * WINDOW_S)


def test_nothing_is_kept_from_before_the_beginning() -> None:
    (started,) = decide(speech(0.2), TurnRules(pre_roll_s=0.4))
    assert isinstance(started, SpeechStarted)
    assert started.keep_s == 0.0


def test_a_turn_ends_as_long_after_its_last_speech_as_a_pause_may_be() -> None:
    pauses = Pauses(1.0)
    *_, ended = decide(silence(0.32) + speech(1.6) + silence(3.0), pauses=pauses)
    assert isinstance(ended, TurnEnded)
    assert ended.speech_end_s == pytest.approx(1.92)
    assert 1.0 <= ended.at_s - ended.speech_end_s < 1.0 + 1.01 * WINDOW_S


def test_a_click_is_no_speech() -> None:
    assert decide(silence(1.0) + windows(2 * WINDOW_S, 0.99) + silence(1.0)) == []


def test_a_click_in_a_pause_does_not_make_it_shorter() -> None:
    plain = decide(speech(1.0) + silence(3.0))
    clicked = decide(speech(1.0) + silence(0.5) + windows(WINDOW_S, 0.99) + silence(2.5))
    assert clicked == plain


def test_speech_that_begins_as_the_silence_runs_out_is_waited_for() -> None:
    almost = int(0.98 / WINDOW_S)
    decisions = decide(speech(1.0) + [0.0] * almost + speech(0.5))
    assert kinds(decisions) == [SpeechStarted, SpeechPaused, SpeechResumed]


def test_soft_speech_goes_on_but_does_not_begin() -> None:
    soft = windows(3.0, 0.4)
    assert decide(soft) == []
    assert kinds(decide(speech(0.5) + soft)) == [SpeechStarted]
    assert kinds(decide(speech(0.5) + silence(0.5) + soft))[-1] is TurnEnded


def test_a_gap_inside_a_word_is_not_told() -> None:
    assert kinds(decide(speech(0.5) + silence(0.15) + speech(0.5))) == [SpeechStarted]


def test_nobody_spoke_has_a_time_limit_of_its_own() -> None:
    decisions = decide(silence(60.0), TurnRules(no_speech_s=8.0, most_s=30.0))
    assert kinds(decisions) == [NobodySpoke]
    assert decisions[0].at_s == pytest.approx(8.0, abs=WINDOW_S)


def test_who_begins_just_before_nobody_spoke_is_heard() -> None:
    decisions = decide(silence(7.96) + speech(1.0), TurnRules(no_speech_s=8.0))
    assert kinds(decisions) == [SpeechStarted]


def test_the_limit_for_nobody_does_not_end_a_turn() -> None:
    assert NobodySpoke not in kinds(decide(speech(20.0), TurnRules(no_speech_s=8.0)))


def test_noise_that_never_stops_is_ended_by_the_longest_turn() -> None:
    decisions = decide(speech(60.0), TurnRules(most_s=30.0))
    assert kinds(decisions) == [SpeechStarted, TooLong]
    assert decisions[-1].at_s == pytest.approx(30.0, abs=WINDOW_S)


def test_no_turn_ends_before_the_least_time() -> None:
    *_, ended = decide(speech(0.5) + silence(9.0), TurnRules(least_s=5.0))
    assert isinstance(ended, TurnEnded)
    assert ended.at_s == pytest.approx(5.0, abs=WINDOW_S)


def test_confirmed_speech_for_barge_in_comes_from_other_rules() -> None:
    rules = TurnRules(on=0.7, min_speech_s=0.2, no_speech_s=math.inf, most_s=math.inf)
    assert decide(silence(60.0) + speech(0.16) + silence(60.0), rules) == []
    (started,) = decide(silence(60.0) + speech(0.3), rules)
    assert isinstance(started, SpeechStarted)
    assert started.at_s - started.speech_s == pytest.approx(0.2, abs=WINDOW_S)


def test_windows_of_another_length_give_the_same_times() -> None:
    endpointer = Endpointer(0.01, Pauses(1.0))
    decisions = [endpointer.add(0.9 if 50 <= number < 150 else 0.0) for number in range(400)]
    told = [decision for decision in decisions if decision]
    assert kinds(told) == [SpeechStarted, SpeechPaused, TurnEnded]
    assert told[-1].at_s == pytest.approx(2.5, abs=0.011)


@given(PROBABILITIES)
def test_decisions_come_in_order_and_the_end_is_the_last(probabilities: list[float]) -> None:
    rules = TurnRules(no_speech_s=4.0, most_s=40.0)
    decisions = decide(probabilities, rules)
    following: dict[type[Decision] | None, set[type[Decision]]] = {
        None: {SpeechStarted, NobodySpoke},
        SpeechStarted: {SpeechPaused, TooLong},
        SpeechPaused: {SpeechResumed, TurnEnded, TooLong},
        SpeechResumed: {SpeechPaused, TooLong},
    }
    before: type[Decision] | None = None
    for kind in kinds(decisions):
        assert kind in following[before]
        before = kind
    times = [decision.at_s for decision in decisions]
    assert times == sorted(times)
    assert len(probabilities) * WINDOW_S < rules.most_s or isinstance(decisions[-1], ENDS)


@given(PROBABILITIES)
def test_no_turn_ends_sooner_after_speech_than_a_pause_may_last(probabilities: list[float]) -> None:
    pauses = Pauses(1.0)
    for decision in decide(probabilities, pauses=pauses):
        match decision:
            case TurnEnded(at_s=at_s, speech_end_s=speech_end_s):
                assert at_s - speech_end_s >= SHORTEST_SHARE * 1.0
                since = math.floor(speech_end_s / WINDOW_S + 0.5)
                silent = probabilities[since : math.floor(at_s / WINDOW_S + 0.5)]
                assert silent[0] < 0.35
                assert silent[-1] < 0.5


# --- pauses ------------------------------------------------------------------------------------------------------


def test_an_unknown_speaker_gets_the_silence_that_is_configured() -> None:
    assert Pauses(1.4).silence_s == pytest.approx(1.4)


def test_who_goes_on_after_long_pauses_gets_more_time() -> None:
    pauses = Pauses(1.0)
    decide(speech(1.0) + silence(0.9) + speech(1.0) + silence(0.9) + speech(1.0) + silence(3.0), pauses=pauses)
    assert pauses.silence_s > 1.3


def test_who_hardly_pauses_is_answered_sooner() -> None:
    pauses = Pauses(2.0)
    for _ in range(4):
        decide(speech(1.0) + silence(0.3) + speech(1.0) + silence(4.0), pauses=pauses)
    assert pauses.silence_s < 1.3


def test_clear_ends_without_a_pause_make_the_silence_a_little_shorter() -> None:
    pauses = Pauses(2.0)
    lengths = []
    for _ in range(5):
        decide(speech(1.0) + silence(4.0), pauses=pauses)
        lengths.append(pauses.silence_s)
    assert lengths == sorted(lengths, reverse=True)
    assert 1.5 < lengths[-1] < lengths[0] < 2.0


def test_an_end_that_was_none_is_learnt_from() -> None:
    pauses = Pauses(1.0)
    decide(speech(1.0) + silence(2.0), pauses=pauses)
    before_s = pauses.silence_s
    pauses.went_on(1.8)
    assert pauses.silence_s > before_s + 0.3


@given(st.floats(0.2, 10.0), st.lists(st.one_of(st.none(), st.floats(0.0, 60.0)), max_size=50))
def test_the_silence_stays_near_what_is_configured_whatever_happens(
    silence_s: float, happenings: list[float | None]
) -> None:
    pauses = Pauses(silence_s)
    for pause_s in happenings:
        if pause_s is None:
            pauses.turn_ended()
        else:
            pauses.went_on(pause_s)
        assert SHORTEST_SHARE * silence_s <= pauses.silence_s <= LONGEST_SHARE * silence_s
