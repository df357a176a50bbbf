"""What words ask of the server: what is one, and, more important, what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.cues import Cue, CueKind, Cues
from voice_mcp.core.spoken_words import words_of
from voice_mcp.parts import build_cues
from voice_mcp.settings import Settings

DEFAULT = build_cues(Settings())
RADIO = Cues(end_word="over")


def kind(text: str, cues: Cues = DEFAULT) -> CueKind:
    return cues.of(text).kind


# --- wait --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("Wait.", "wait", "WAIT!", "Wait a minute.", "uh, wait a minute please", "No, wait.", "Okay, hold on."),
        *(
            "Hold on, hold on.",
            "Wait, wait, wait.",
            "Hang on a-- hang on.",
            "Um... just a second",
            "One moment, please.",
        ),
        *(
            "Let me think.",
            "Sorry, give me a minute.",
            "“Wait a moment.”",
            "wait\u00a0a  minute",
            "Wait…",
            "Ｗａｉｔ．",
        ),
    ],
)
def test_a_turn_that_asks_for_time_is_a_wait(text: str) -> None:
    assert kind(text) is CueKind.WAIT


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Use the second one. No, hold on.",
            "I think it was... wait.",
            "The port is eight thousand, no, wait a minute.",
        ),
        *("Open the file and, um, wait", "open the file uh hold on", "If it fails, stop. Wait.", "Delete it! Hold on!"),
    ],
)
def test_a_wait_at_the_end_of_more_is_one_and_every_word_is_kept(text: str) -> None:
    assert DEFAULT.of(text) == Cue(CueKind.WAIT, text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Don't wait for me.",
            "Don't wait.",
            "You can't wait.",
            "It has to wait.",
            "Let it wait a minute.",
            "and wait",
        ),
        *("Wait for the build.", "Wait a minute between two requests.", "there should be no wait"),
        *("If it fails, wait.", "When the build is done, wait a minute.", "Then restart it and hold on to the lock."),
        *("Give me a second opinion.", "Hold on to the old one.", "It prints wait", 'The button says "wait".', "await"),
        *(
            "Build it. If that fails, wait.",
            "I was waiting",
            "Put the caller on hold",
            "waits",
            "The await, not the wait",
        ),
    ],
)
def test_a_sentence_that_speaks_of_waiting_is_an_answer(text: str) -> None:
    assert kind(text) is CueKind.ANSWER


def test_a_wait_is_no_clear_end() -> None:
    assert not DEFAULT.of("Okay, wait.").is_clear_end


def test_what_is_said_after_a_wait_makes_it_an_answer_with_all_its_words() -> None:
    assert DEFAULT.of("Wait a minute. The second one.") == Cue(CueKind.ANSWER, "Wait a minute. The second one.")


# --- repeat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Repeat that.",
            "Can you repeat that, please?",
            "Sorry, what did you say?",
            "Could you say that again for me?",
        ),
        *(
            "Say that again once more",
            "Pardon?",
            "What was that?",
            "I’m sorry, I didn’t catch that.",
            "um, come again?",
        ),
        *("I didn't catch that. Can you say it again?",),
    ],
)
def test_a_turn_that_asks_to_hear_it_again_is_a_repeat_and_nothing_for_the_agent(text: str) -> None:
    assert DEFAULT.of(text) == Cue(CueKind.REPEAT, "", is_clear_end=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Can you repeat that test three times?",
            "Repeat that with the other file.",
            "Repeat.",
            "Again.",
            "Once more.",
        ),
        *(
            "What did you say about the port?",
            "Run it. Repeat that.",
            "Say that again in French.",
            "Can you?",
            "Please.",
        ),
    ],
)
def test_a_request_to_repeat_something_is_an_answer(text: str) -> None:
    assert kind(text) is CueKind.ANSWER


# --- the end word ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Close the file. Over.", "Close the file."),
        ("Close the file, over", "Close the file"),
        ("Is it done? OVER!", "Is it done?"),
        ("Close the file — over.", "Close the file"),
        ("close the file over", "close the file"),
        ("Over.", ""),
        ("Start over. Over.", "Start over."),
        ("Move it over, over.", "Move it over"),
    ],
)
def test_the_end_word_ends_a_turn_and_is_no_part_of_it(text: str, kept: str) -> None:
    assert RADIO.of(text) == Cue(CueKind.END_WORD, kept, is_clear_end=True)


@pytest.mark.parametrize(
    "text", ["Start over.", "Hand it over, please.", "Over there.", "It's moreover.", "Is it over?", "Over and out"]
)
def test_the_same_word_in_a_sentence_ends_nothing(text: str) -> None:
    assert kind(text, RADIO) is CueKind.ANSWER


def test_there_is_no_end_word_unless_one_is_set() -> None:
    assert DEFAULT.of("Close the file. Over.") == Cue(CueKind.ANSWER, "Close the file. Over.")


def test_an_end_word_may_be_several_words_in_any_script() -> None:
    assert Cues(end_word="Over and out!").of("Done. Over and out.").text == "Done."
    assert Cues(end_word="以上").of("ファイルを閉じて。以上。") == Cue(CueKind.END_WORD, "ファイルを閉じて。", True)
    assert Cues(end_word="Готово").of("Закрой файл, готово.").text == "Закрой файл"


def test_the_end_word_counts_more_than_a_wait() -> None:
    assert kind("Hold on. Over.", build_cues(Settings(end_word="over"))) is CueKind.END_WORD


# --- phrases that are set ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("warte mal", "Äh, warte mal bitte!"),
        ("attends", "Le deuxième. Non, attends."),
        ("un momento", "¡Un momento, por favor!"),
        ("等一下", "打开文件，等一下。"),
        ("रुको", "रुको!"),
        ("i'll be right back", "I’ll be right back."),
    ],
)
def test_phrases_of_other_languages_can_be_set(phrase: str, text: str) -> None:
    assert kind(text, Cues(wait_phrases=[phrase])) is CueKind.WAIT
    assert kind(text, Cues()) is CueKind.ANSWER


def test_vowel_signs_tell_words_apart() -> None:
    assert kind("रोको!", Cues(wait_phrases=["रुको"])) is CueKind.ANSWER


def test_a_phrase_of_nothing_but_punctuation_is_none() -> None:
    assert kind("...", Cues(end_word="!", wait_phrases=["?", ""], repeat_phrases=["-"])) is CueKind.ANSWER


@given(st.text())
def test_no_text_is_an_error_and_no_word_of_an_answer_is_lost(text: str) -> None:
    cue = DEFAULT.of(text)
    assert cue.kind is CueKind.REPEAT or cue.text == text.strip()


@given(st.text(alphabet="ab ,.'-é他", max_size=30))
def test_what_is_kept_before_an_end_word_is_what_was_said(text: str) -> None:
    cue = RADIO.of(f"{text}. Over.")
    assert cue.kind is CueKind.END_WORD
    assert [word.text for word in words_of(cue.text)] == [word.text for word in words_of(text)]
