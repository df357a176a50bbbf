"""Whole answers: after these nobody is waited for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.clear_ends import is_clear_end


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Yes.",
            "no",
            "Yes, please.",
            "No, thank you.",
            "OK",
            "Okay, do it.",
            "Stop!",
            "Stop, stop.",
            "Thanks, that's all.",
        ),
        *("Um, yes.", "Sure, go ahead.", "the second one", "Number two.", "Twenty-five.", "42", "3.5", "Option B."),
        *("one hundred and five", "Never mind.", "That’s it, thanks."),
    ],
)
def test_a_whole_answer_is_a_clear_end(text: str) -> None:
    assert is_clear_end(text, "en")
    assert is_clear_end(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "...", "um", "please", "Yes,", "Okay…", "No -", "No, it was the", "Yes but", "number", "one and", "So"),
        *("Open the settings file.", "Twenty five files", "Right now I think", "Well", "two or"),
        *("Stop the server and", "Okay so", "Thanks to"),
    ],
)
def test_what_may_go_on_is_none(text: str) -> None:
    assert not is_clear_end(text, "en")
    assert not is_clear_end(text)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *(("Ja, bitte.", "de"), ("Nein danke", "de"), ("Fünfundzwanzig", "en-GB")),
        *(("Oui, merci.", "fr"), ("C’est tout.", "fr"), ("Sí, por favor.", "es"), ("número dos", "es")),
    ],
)
def test_other_languages_are_known_as_far_as_they_are(text: str, language: str) -> None:
    assert is_clear_end(text, language) is (language != "en-GB")


def test_a_word_that_is_an_answer_in_one_language_is_none_in_another() -> None:
    assert is_clear_end("para", "es")
    assert not is_clear_end("para", "en")


def test_a_language_may_come_with_its_region() -> None:
    assert is_clear_end("yes", "en-US")


def test_figures_are_clear_in_every_language_and_words_only_in_those_that_are_known() -> None:
    assert is_clear_end("42", "ja")
    assert not is_clear_end("はい", "ja")


@pytest.mark.parametrize(
    ("text", "is_end"),
    [
        ("Run the tests again, please.", True),
        ("run the tests again please", True),
        ("Could you please", False),
        ("Would you, please", False),
        ("I want to please", False),
        ("And please", False),
        ("Close it and merge it. Thank you.", True),
        ("I want to say thank you", False),
        ("Mach die Datei zu, danke.", True),
    ],
)
def test_a_courtesy_closes_a_longer_turn_where_it_is_one(text: str, is_end: bool) -> None:
    assert is_clear_end(text) is is_end


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    assert is_clear_end(text) in (True, False)


@given(st.text(), st.sampled_from([",", "...", "…", " -", ";"]))
def test_nothing_that_a_recogniser_leaves_open_is_a_clear_end(text: str, mark: str) -> None:
    assert not is_clear_end(text + mark)
