"""What an engine was given, and the way back to what was to be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.script import Script
from voice_mcp.core.spans import Span, apart, within
from voice_mcp.core.speakable import speakable
from voice_mcp.core.timeline import Run, spoken_chars
from voice_mcp.core.words import STAND_IN, Words
from voice_mcp.types import WordMark

TEXT = "Use hunter2 now."
HIDDEN = ((4, 11),)
WORDS = Words.without(TEXT, HIDDEN)
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4).map(lambda spans: tuple(apart(spans)))


def test_a_stand_in_takes_the_place_of_what_is_hidden() -> None:
    assert WORDS.text == "Use a secret now."
    assert Words.without("key=hunter2x", ((4, 11),)).text == "key=a secret x"
    assert Words.without("xhunter2", ((1, 8),)).text == "x a secret"
    assert Words.without(TEXT, ()) == Words(TEXT)


@pytest.mark.parametrize(("offset", "origin"), [(0, 0), (3, 3), (4, 4), (5, 4), (11, 4), (12, 11), (13, 12), (17, 16)])
def test_half_a_stand_in_is_nothing_of_what_it_stands_for(offset: int, origin: int) -> None:
    assert WORDS.origin(offset) == origin


@given(st.text(min_size=30, max_size=40), SPANS)
def test_the_way_back_never_runs_backwards_and_ends_at_the_end(text: str, hidden: tuple[Span, ...]) -> None:
    words = Words.without(text, hidden)
    way = [words.origin(offset) for offset in range(len(words.text) + 1)]
    assert way == sorted(way)
    assert way[-1] == len(text)
    assert words.text.count(STAND_IN) >= len(hidden)


def test_marks_of_what_was_said_become_marks_of_what_was_to_be_said() -> None:
    said = [WordMark(0, 3, 0.0), WordMark(4, 1, 0.2)]
    marks = WORDS.marks(said)
    assert list(marks) == [WordMark(0, 3, 0.0), WordMark(4, 0, 0.2)]
    said += [WordMark(6, 6, 0.3), WordMark(13, 3, 0.9)]
    assert list(marks)[2:] == [WordMark(4, 7, 0.3), WordMark(12, 3, 0.9)]
    assert marks[1:2] == [WordMark(4, 0, 0.2)]
    assert Words(TEXT).marks(said) is said


def test_what_was_heard_is_judged_by_what_was_said() -> None:
    """A key of a hundred letters is said as quickly as its stand-in."""
    text = f"Use {'x7' * 50} and go on with all the rest of it."
    words = Words.without(text, ((4, 104),))
    run = Run(text, 0.0, [], end_s=float(len(words.text)), words=words)
    assert text[: spoken_chars(run, 17.0)] == text[:108]
    assert text[: spoken_chars(run, 8.0)] == "Use "
    run.cut(108)
    assert spoken_chars(run, run.end_s or 0.0) == 108


def test_stretches_are_joined_where_they_touch_and_cut_where_they_reach_out() -> None:
    assert list(apart([(5, 9), (1, 3), (3, 4), (7, 7), (8, 12)])) == [(1, 4), (5, 12)]
    assert list(within([(1, 4), (5, 12), (20, 30)], 3, 8)) == [(0, 1), (2, 5)]


# --- from the message to what is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "secret", "said"),
    [
        ("The key is hunter2, so **go**.", "hunter2", "hunter2"),
        ("The key is `hunter2`.", "hunter2", "hunter2"),
        ("A [page](https://a.example/?key=hunter2hunter2) to read.", "hunter2hunter2", ""),
        ("See https://a.example/?key=hunter2hunter2 now.", "hunter2hunter2", ""),
        ("Look at `DB_PASSWORD=hunter2`.", "hunter2", "hunter2"),
        ("\x07The key is hunter2.", "hunter2", "hunter2"),
    ],
)
def test_where_something_of_the_message_is_said_is_known(message: str, secret: str, said: str) -> None:
    spoken = speakable(message)
    start = message.index(secret)
    low, high = spoken.spoken_stretch(start, start + len(secret))
    assert spoken.text[low:high] == said


async def lines_with(message: str, secret: str) -> list[str]:
    script = Script.of(message)
    start = message.index(secret)
    lines = []
    while (line := await script.next_line()) is not None:
        hidden = script.spoken_in(line, [(start, start + len(secret))])
        lines.append(Words.without(line.text, hidden).text)
    return lines


@pytest.mark.anyio
async def test_only_the_line_that_says_it_is_changed() -> None:
    message = (
        "One short sentence to begin with, as it happens to be.\n\nThe key is hunter2, believe me.\n\nAnd that is it."
    )
    lines = await lines_with(message, "hunter2")
    assert len(lines) > 1
    assert [line for line in lines if STAND_IN in line] == [line for line in lines if "believe me" in line]
    assert " ".join(" ".join(lines).split()) == " ".join(message.replace("hunter2", STAND_IN).split())


@pytest.mark.anyio
async def test_what_is_said_over_two_lines_is_changed_in_both() -> None:
    secret = "4111 1111 1111 1111"
    lines = await lines_with(f"{'Some words before it. ' * 20}{secret}", secret)
    assert not [line for line in lines if "1111" in line]
