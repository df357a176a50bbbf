"""Decisions from probabilities alone: no sound, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.cues import Cue, CueKind
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
from voice_mcp.core.pauses import LONGEST_SHARE, SHORTEST_S, SHORTEST_SHARE, Eagerness, Pauses

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
    assert kinds(decide(speech(0.5) + silence(0.12) + speech(0.5))) == [SpeechStarted]


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


# --- more than silence -------------------------------------------------------------------------------------------

ANSWER = Cue(CueKind.ANSWER, "Open the file")
CLEAR = Cue(CueKind.ANSWER, "Yes", is_clear_end=True)
WAIT = Cue(CueKind.WAIT, "Wait")
END = Cue(CueKind.END_WORD, "Open the file", is_clear_end=True)


class Turn:
    """A turn that has just paused."""

    def __init__(self, rules: TurnRules | None = None, pauses: Pauses | None = None) -> None:
        self.pauses = pauses or Pauses(2.0)
        self.endpointer = Endpointer(WINDOW_S, self.pauses, rules)
        self.paused = self.speak()

    def speak(self) -> SpeechPaused:
        """Say a second of something; the pause behind it."""
        (*_, paused) = self.hear(speech(1.0) + silence(0.16))
        assert isinstance(paused, SpeechPaused)
        return paused

    def hear(self, probabilities: Iterable[float]) -> list[Decision]:
        return [decision for each in probabilities if (decision := self.endpointer.add(each)) is not None]

    def silence_to_end_s(self) -> float:
        """How long the silence is that ends it now."""
        (ended,) = self.hear(silence(60.0))
        assert isinstance(ended, TurnEnded)
        return ended.at_s - ended.speech_end_s


def test_a_turn_that_sounds_complete_is_over_sooner_and_one_that_does_not_later() -> None:
    lengths = []
    for completeness in (0.99, 0.9, 0.7, 0.5, 0.01):
        turn = Turn()
        assert turn.endpointer.judge(turn.paused, completeness) is None
        lengths.append(turn.silence_to_end_s())
    assert lengths == sorted(lengths)
    assert lengths[0] < 2.0 < lengths[-1] == pytest.approx(3.0, abs=WINDOW_S)


def test_a_judgement_that_leaves_no_more_to_wait_for_ends_the_turn_at_once() -> None:
    turn = Turn(pauses=Pauses(0.5, Eagerness.QUICK))
    ended = turn.endpointer.judge(turn.paused, 0.99)
    assert ended == TurnEnded(turn.endpointer.captured_s, turn.paused.speech_end_s)
    assert turn.endpointer.is_over


def test_a_judgement_is_forgotten_when_the_speaker_goes_on() -> None:
    turn = Turn(pauses=Pauses(2.0, Eagerness.QUICK))
    assert turn.endpointer.judge(turn.paused, 0.99) is None
    turn.speak()
    assert turn.silence_to_end_s() > 1.5


def test_what_is_said_of_a_pause_that_is_past_changes_nothing() -> None:
    turn, other = Turn(), Turn()
    for each in (turn, other):
        each.speak()
    assert turn.endpointer.judge(turn.paused, 0.99) is None
    assert turn.endpointer.understand(turn.paused, END) is None
    assert turn.silence_to_end_s() == other.silence_to_end_s()


def test_a_judgement_that_comes_while_somebody_may_be_speaking_does_not_cut_in() -> None:
    turn = Turn(pauses=Pauses(0.5, Eagerness.QUICK))
    assert turn.hear(windows(WINDOW_S, 0.95)) == []
    assert turn.endpointer.judge(turn.paused, 0.99) is None
    assert kinds(turn.hear(speech(0.5))) == [SpeechResumed]


def test_a_judgement_after_the_end_is_none() -> None:
    turn = Turn()
    turn.silence_to_end_s()
    assert turn.endpointer.judge(turn.paused, 0.99) is None
    assert turn.endpointer.understand(turn.paused, END) is None


def test_after_a_whole_answer_half_a_second_is_enough() -> None:
    turn = Turn()
    assert turn.endpointer.understand(turn.paused, CLEAR) is None
    assert turn.silence_to_end_s() == pytest.approx(0.5, abs=WINDOW_S)


def test_a_whole_answer_that_comes_late_ends_the_turn_at_once() -> None:
    turn = Turn()
    turn.hear(silence(1.0))
    assert isinstance(turn.endpointer.understand(turn.paused, CLEAR), TurnEnded)


def test_a_whole_answer_that_sounds_complete_is_over_at_once() -> None:
    turn = Turn()
    assert turn.endpointer.understand(turn.paused, CLEAR) is None
    assert isinstance(turn.endpointer.judge(turn.paused, 0.95), TurnEnded)


def test_the_surer_a_whole_answer_sounds_the_less_silence_it_takes() -> None:
    taken_s = []
    for completeness in (0.55, 0.65, 0.75, 0.85):
        turn = Turn()
        turn.endpointer.understand(turn.paused, CLEAR)
        turn.endpointer.judge(turn.paused, completeness)
        taken_s.append(turn.silence_to_end_s())
    assert taken_s == sorted(taken_s, reverse=True)
    assert 0.15 < taken_s[-1] < taken_s[0] - 2 * WINDOW_S < 0.5


def test_a_voice_that_stays_up_counts_more_than_words() -> None:
    turn = Turn()
    turn.endpointer.judge(turn.paused, 0.1)
    turn.endpointer.understand(turn.paused, CLEAR)
    assert turn.silence_to_end_s() >= 2.0


def test_words_that_are_an_answer_for_the_agent_change_nothing() -> None:
    turn = Turn()
    turn.endpointer.understand(turn.paused, ANSWER)
    assert turn.silence_to_end_s() == Turn().silence_to_end_s()


def test_the_end_word_ends_a_turn_at_once_even_a_short_one() -> None:
    turn = Turn(TurnRules(least_s=30.0))
    assert isinstance(turn.endpointer.understand(turn.paused, END), TurnEnded)


@pytest.mark.parametrize("completeness", [None, 0.99])
def test_who_asks_for_time_gets_it(completeness: float | None) -> None:
    turn = Turn(TurnRules(wait_s=20.0), Pauses(2.0, Eagerness.CAREFUL))
    if completeness is not None:
        turn.endpointer.judge(turn.paused, completeness)
    turn.endpointer.understand(turn.paused, WAIT)
    assert turn.silence_to_end_s() == pytest.approx(20.0, abs=WINDOW_S)


def test_the_time_that_was_asked_for_says_nothing_of_how_this_speaker_pauses() -> None:
    turn, other = Turn(), Turn()
    turn.endpointer.understand(turn.paused, WAIT)
    for each, pause_s in ((turn, 15.0), (other, 1.0)):
        each.hear(silence(pause_s))
        each.speak()
    assert turn.pauses.silence_s == Pauses(2.0).silence_s
    assert other.pauses.silence_s != Pauses(2.0).silence_s


def test_after_the_time_that_was_asked_for_a_turn_ends_as_usual() -> None:
    turn = Turn()
    turn.endpointer.understand(turn.paused, WAIT)
    turn.hear(silence(10.0))
    turn.speak()
    assert turn.silence_to_end_s() == pytest.approx(2.0, abs=WINDOW_S)


def test_the_longest_turn_ends_one_that_waits() -> None:
    turn = Turn(TurnRules(wait_s=600.0, most_s=30.0))
    turn.endpointer.understand(turn.paused, WAIT)
    assert kinds(turn.hear(silence(60.0))) == [TooLong]


@given(
    st.floats(0.2, 10.0),
    st.sampled_from(Eagerness),
    st.one_of(st.none(), st.floats(0.0, 1.0)),
    st.booleans(),
    st.lists(st.floats(0.0, 60.0), max_size=20),
)
def test_the_silence_after_a_judgement_stays_near_what_is_configured(
    silence_s: float, eagerness: Eagerness, completeness: float | None, is_clear_end: bool, learnt: list[float]
) -> None:
    pauses = Pauses(silence_s, eagerness)
    for pause_s in learnt:
        pauses.went_on(pause_s)
    wanted_s = pauses.silence_after(completeness, is_clear_end=is_clear_end)
    assert min(SHORTEST_S, SHORTEST_SHARE * silence_s) <= wanted_s <= max(SHORTEST_S, LONGEST_SHARE * silence_s)


@given(st.sampled_from(Eagerness), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_more_complete_it_sounds_the_shorter_the_silence(eagerness: Eagerness, one: float, other: float) -> None:
    less, more = sorted((one, other))
    pauses = Pauses(2.0, eagerness)
    assert pauses.silence_after(more) <= pauses.silence_after(less)
    assert pauses.silence_after(more, is_clear_end=True) <= pauses.silence_after(more)


def test_each_eagerness_has_its_share() -> None:
    assert [Pauses(2.0, each).silence_after(1.0) for each in Eagerness] == pytest.approx([1.8, 1.2, 0.6])
