"""Who interrupts, from probabilities alone: no sound, no clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.interruption import CONFIRM_S, Decision, FalseAlarm, Interrupted, Interruption, InterruptionRules

WINDOW_S = 0.032
START_S = 100.0
SPEECH, SILENCE, CLICK = 0.95, 0.02, 0.9


def windows(seconds: float, probability: float) -> list[float]:
    return [probability] * round(seconds / WINDOW_S)


class Watched:
    """An interruption that is told one window after the other, from ``START_S`` on."""

    def __init__(self) -> None:
        self.interruption = Interruption(WINDOW_S)
        self.decisions: list[Decision] = []
        self._count = 0

    def hear(self, probabilities: Iterable[float], *, is_echo: bool = False) -> Watched:
        for probability in probabilities:
            at_s = START_S + self._count * WINDOW_S
            decision = self.interruption.add(at_s, probability, is_echo=is_echo)
            self.decisions += [decision] if decision is not None else []
            self._count += 1
        return self


def test_speech_of_200_ms_interrupts_and_says_when_it_began() -> None:
    (found,) = Watched().hear(windows(0.96, SILENCE) + windows(1.0, SPEECH)).decisions
    assert isinstance(found, Interrupted)
    assert found.speech_s == pytest.approx(START_S + 0.96)
    assert found.at_s - found.speech_s == pytest.approx(CONFIRM_S, abs=WINDOW_S / 2)


def test_clicks_one_by_one_interrupt_nobody() -> None:
    typing = [CLICK, CLICK, SILENCE, SILENCE, CLICK, SILENCE, SILENCE] * 100
    assert Watched().hear(typing).decisions == []


def test_a_dip_of_one_window_does_not_begin_anew() -> None:
    word = windows(0.64, SILENCE) + [SPEECH, SPEECH, SILENCE, SPEECH, SPEECH, SPEECH, SPEECH, SPEECH]
    (found,) = Watched().hear(word).decisions
    assert isinstance(found, Interrupted)
    assert found.speech_s == pytest.approx(START_S + 0.64)


def test_a_soft_syllable_after_a_dip_goes_on_too() -> None:
    word = [SPEECH, SPEECH, SPEECH, SILENCE, 0.4, SPEECH, SPEECH]
    (found,) = Watched().hear(word).decisions
    assert isinstance(found, Interrupted)
    assert found.speech_s == pytest.approx(START_S)


def test_two_dips_do() -> None:
    broken = [SPEECH, SPEECH, SILENCE, SPEECH, SILENCE, SPEECH, SPEECH]
    assert Watched().hear(broken + windows(0.32, SILENCE)).decisions == []


def test_a_soft_syllable_goes_on_what_it_could_not_begin() -> None:
    soft = 0.4
    assert Watched().hear([soft] * 50).decisions == []
    assert len(Watched().hear([SPEECH, SPEECH, soft, SPEECH, SPEECH, SPEECH]).decisions) == 1


def test_what_is_hardly_speech_all_along_is_not_certain() -> None:
    assert Watched().hear([0.6] * 50).decisions == []


def test_the_agents_own_voice_interrupts_only_once_somebody_speaks_over_it() -> None:
    watched = Watched().hear(windows(1.0, SPEECH), is_echo=True)
    assert watched.decisions == []
    (found,) = watched.hear(windows(0.1, SPEECH)).decisions
    assert isinstance(found, Interrupted)
    assert found.at_s - found.speech_s <= 2 * CONFIRM_S + WINDOW_S


def test_a_burst_that_silence_follows_is_taken_back() -> None:
    watched = Watched().hear(windows(0.224, SPEECH) + windows(1.0, SILENCE))
    interrupted, false_alarm = watched.decisions
    assert isinstance(interrupted, Interrupted)
    assert isinstance(false_alarm, FalseAlarm)
    assert false_alarm.speech_s == interrupted.speech_s
    assert false_alarm.speech_end_s == pytest.approx(START_S + 0.224)
    rules = InterruptionRules()
    assert false_alarm.at_s - false_alarm.speech_end_s == pytest.approx(rules.silence_s, abs=WINDOW_S)


def test_a_short_word_is_not_taken_back_without_asking() -> None:
    watched = Watched().hear(windows(0.384, SPEECH) + windows(5.0, SILENCE))
    assert [type(each) for each in watched.decisions] == [Interrupted]
    assert watched.interruption.is_interrupted


def test_an_interruption_without_words_is_taken_back_when_the_owner_says_so_and_once() -> None:
    watched = Watched().hear(windows(1.0, SPEECH) + windows(0.5, SILENCE))
    false_alarm = watched.interruption.no_words_came()
    assert isinstance(false_alarm, FalseAlarm)
    assert false_alarm.speech_end_s == pytest.approx(START_S + 0.992)
    assert watched.interruption.no_words_came() is None


def test_after_a_false_alarm_the_next_speech_interrupts_again() -> None:
    cough = windows(0.224, SPEECH) + windows(1.0, SILENCE)
    watched = Watched().hear(cough + windows(0.5, SPEECH))
    assert [type(each) for each in watched.decisions] == [Interrupted, FalseAlarm, Interrupted]


def test_with_words_it_is_an_interruption_for_good() -> None:
    watched = Watched().hear(windows(0.224, SPEECH))
    watched.interruption.words_came()
    watched.hear(windows(2.0, SILENCE) + windows(2.0, SPEECH))
    assert [type(each) for each in watched.decisions] == [Interrupted]
    assert watched.interruption.is_over
    assert watched.interruption.no_words_came() is None


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.4, 0.6, 0.8, 1.0]), st.booleans()), max_size=300))
def test_decisions_take_turns_and_their_times_are_in_order(heard: list[tuple[float, bool]]) -> None:
    watched = Watched()
    for probability, is_echo in heard:
        watched.hear([probability], is_echo=is_echo)
    kinds = [type(each) for each in watched.decisions]
    assert kinds == [Interrupted, FalseAlarm] * (len(kinds) // 2) + [Interrupted] * (len(kinds) % 2)
    times = [each.at_s for each in watched.decisions]
    assert times == sorted(times)
    assert all(START_S - 1e-6 <= each.speech_s < each.at_s for each in watched.decisions)
