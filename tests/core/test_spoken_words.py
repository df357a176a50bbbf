"""How transcripts are taken apart before anything is looked for in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.spoken_words import phrase_of, phrase_set, stands_at, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Wait a minute!", ("wait", "a", "minute")),
        ("Don’t, twenty-five.", ("don't", "twenty", "five")),
        ("'quoted' and l'ami", ("quoted", "and", "l'ami")),
        ("STRASSE straße", ("strasse", "strasse")),
        ("等一下 ok", ("等", "一", "下", "ok")),
        ("रुको", ("रुको",)),
        ("3.5 %", ("3", "5")),
        ("… — !", ()),
    ],
)
def test_words_are_compared_without_case_and_punctuation(text: str, words: tuple[str, ...]) -> None:
    assert phrase_of(text) == words


@pytest.mark.parametrize(
    ("text", "set_off"),
    [
        ("stop, wait", [True, True]),
        ("stop wait", [True, False]),
        ("stop-wait", [True, False]),
        ("stop - wait", [True, True]),
        ('stop "wait"', [True, False]),
        ("“stop” wait", [True, False]),
        ("stop。wait", [True, True]),
    ],
)
def test_a_word_is_set_off_by_what_parts_clauses_and_by_nothing_else(text: str, set_off: list[bool]) -> None:
    assert [word.is_set_off for word in words_of(text)] == set_off


def test_longer_phrases_come_first() -> None:
    assert phrase_set("wait|wait a minute||Wait!") == (("wait", "a", "minute"), ("wait",))


def test_a_phrase_stands_only_where_all_of_it_does() -> None:
    words = words_of("please wait a minute")
    assert stands_at(words, 1, ("wait", "a"))
    assert not stands_at(words, 3, ("minute", "more"))
    assert not stands_at(words, -1, ("minute",))


@given(st.text())
def test_words_lie_where_they_say_in_order_and_without_overlap(text: str) -> None:
    words = words_of(text)
    places = [at for word in words for at in (word.start, word.end)]
    assert places == sorted(places)
    assert all(word.start < word.end <= len(text) for word in words)
