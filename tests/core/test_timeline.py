"""From seconds that were heard to words that were heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.timeline import CHARS_PER_SECOND, SLOW_SPEECH, Run, expected_seconds, spoken_chars, word_began_s
from voice_mcp.types import WordMark

TEXT = "One two, three."
MARKS = [WordMark(0, 3, 0.1), WordMark(4, 3, 0.5), WordMark(9, 5, 1.0)]
WORDS = st.lists(st.sampled_from(["a", "to", "three", "voice.", "können", "—", "said,"]), min_size=1, max_size=8)
SPACES = st.sampled_from([" ", "  ", "\n", " \n "])


def said(run: Run, heard_s: float, speed: float = 1.0) -> str:
    return run.text[: spoken_chars(run, heard_s, speed=speed)]


def test_nothing_was_said_before_the_audio_begins() -> None:
    run = Run(TEXT, 5.0, MARKS, end_s=7.0)

    assert [said(run, heard_s) for heard_s in (0.0, 4.9, 5.0)] == ["", "", ""]


@pytest.mark.parametrize("marks", [[], MARKS])
def test_everything_was_said_when_the_audio_has_ended(marks: list[WordMark]) -> None:
    run = Run(TEXT, 5.0, marks, end_s=7.0)

    assert [said(run, heard_s) for heard_s in (7.0, 100.0)] == [TEXT, TEXT]


@pytest.mark.parametrize(
    ("into_s", "heard"),
    [(0.05, ""), (0.1, ""), (0.49, ""), (0.5, "One"), (0.99, "One"), (1.0, "One two,"), (1.9, "One two,")],
)
def test_with_marks_a_word_was_said_when_the_next_one_begins(into_s: float, heard: str) -> None:
    assert said(Run(TEXT, 5.0, MARKS, end_s=7.0), 5.0 + into_s) == heard


def test_marks_that_are_still_growing_count_as_far_as_they_go() -> None:
    marks = MARKS[:2]
    run = Run(TEXT, 0.0, marks)
    assert said(run, 3.0) == "One"
    marks.append(MARKS[2])

    assert said(run, 3.0) == "One two,"


@pytest.mark.parametrize(
    ("heard_s", "heard"),
    [(2.9, ""), (3.0, "One"), (7.9, "One"), (8.0, "One two,"), (14.9, "One two,"), (15.0, TEXT)],
)
def test_without_marks_the_text_is_laid_evenly_over_the_audio(heard_s: float, heard: str) -> None:
    assert said(Run(TEXT, 0.0, [], end_s=float(len(TEXT))), heard_s) == heard


@pytest.mark.parametrize(("speed", "heard"), [(0.5, ""), (1.0, "One"), (2.0, "One two,")])
def test_while_the_end_is_not_known_the_pace_of_a_slow_voice_at_that_speed_is_taken(speed: float, heard: str) -> None:
    assert said(Run(TEXT, 0.0, []), 5 / (CHARS_PER_SECOND * SLOW_SPEECH), speed=speed) == heard


@pytest.mark.parametrize("text", [TEXT, "Done.", "one two three "])
def test_while_the_end_is_not_known_the_last_word_was_not_said(text: str) -> None:
    assert said(Run(text, 0.0, []), 1_000.0) == text.rstrip().rpartition(" ")[0]


@pytest.mark.parametrize(
    ("text", "letters"),
    [("Call 0800 555 now.", "Call zero eight zero zero five five five now."), ("你好 世界", "nihao shijie")],
)
def test_digits_and_ideographs_take_longer_to_say_than_letters(text: str, letters: str) -> None:
    half_s = len(letters) / CHARS_PER_SECOND / 2

    assert spoken_chars(Run(text, 0.0, [], end_s=2 * half_s), half_s) < len(text) * 0.7
    assert spoken_chars(Run(text, 0.0, []), half_s) <= len(text) / 2


def test_a_run_without_text_has_nothing_to_say() -> None:
    assert spoken_chars(Run("", 0.0, [], end_s=1.0), 0.5) == 0
    assert spoken_chars(Run("", 0.0, []), 0.5) == 0


def test_twice_the_speed_takes_half_the_time() -> None:
    assert expected_seconds(len(TEXT)) == pytest.approx(len(TEXT) / CHARS_PER_SECOND)
    assert expected_seconds(len(TEXT), speed=2.0) == pytest.approx(expected_seconds(len(TEXT)) / 2)
    assert expected_seconds(0) == 0


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Words somewhere in an utterance, with or without marks, ended or not."""
    text, marks, at_s = draw(st.sampled_from(["", " "])), [], 0.0
    for word in draw(WORDS):
        at_s += draw(st.floats(0, 1))
        marks.append(WordMark(len(text), len(word), at_s))
        text += word + draw(SPACES)
    start_s = draw(st.floats(0, 10))
    length_s = draw(st.none() | st.floats(0, 5))
    return Run(
        text.rstrip() if draw(st.booleans()) else text,
        start_s,
        marks if draw(st.booleans()) else [],
        None if length_s is None else start_s + at_s + length_s,
    )


@given(run=runs(), moments=st.lists(st.floats(0, 40), min_size=2), speed=st.floats(0.25, 4.0))
def test_what_was_said_only_grows_with_time(run: Run, moments: list[float], speed: float) -> None:
    counts = [spoken_chars(run, heard_s, speed=speed) for heard_s in sorted(moments)]

    assert counts == sorted(counts)
    assert all(0 <= count <= len(run.text) for count in counts)


@given(run=runs(), heard_s=st.floats(0, 40), speed=st.floats(0.25, 4.0))
def test_only_whole_words_count_as_said(run: Run, heard_s: float, speed: float) -> None:
    count = spoken_chars(run, heard_s, speed=speed)

    assert run.text[:count].split() == run.text.split()[: len(run.text[:count].split())]
    assert count in (0, len(run.text)) or not run.text[count - 1].isspace()


@pytest.mark.parametrize(
    ("into_s", "began_s"), [(-1.0, 0.0), (0.0, 0.0), (0.05, 0.0), (0.11, 0.1), (0.49, 0.1), (0.51, 0.5), (1.9, 1.0)]
)
def test_with_marks_the_word_that_was_cut_began_where_its_mark_is(into_s: float, began_s: float) -> None:
    assert word_began_s(Run(TEXT, 5.0, MARKS, end_s=7.0), 5.0 + into_s) == pytest.approx(5.0 + began_s)


def test_without_marks_nobody_knows_where_a_word_began() -> None:
    assert word_began_s(Run(TEXT, 5.0, [], end_s=7.0), 6.0) is None


@pytest.mark.parametrize("marks", [[], MARKS])
def test_what_was_heard_to_its_end_is_not_gone_back_into(marks: list[WordMark]) -> None:
    assert word_began_s(Run(TEXT, 5.0, marks, end_s=7.0), 7.2) == 7.0


@given(into_s=st.floats(0, 3))
def test_whatever_was_cut_is_said_again_from_the_first_word_that_counts_as_unheard(into_s: float) -> None:
    run = Run(TEXT, 0.0, MARKS, end_s=3.0)
    began_s = word_began_s(run, into_s)
    assert began_s is not None
    unheard = run.text[spoken_chars(run, into_s) :].lstrip()
    following = [mark for mark in MARKS if mark.start_s >= began_s]
    if following:
        assert unheard == TEXT[following[0].start_char :]
