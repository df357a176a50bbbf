"""Texts and dialogues, and who speaks in them."""

from __future__ import annotations

import pytest

from voice_mcp.errors import InvalidInput, NothingToSay
from voice_mcp.library.turns import Cast, lines_of
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.tone import ToneEngine


def test_a_text_is_cut_into_lines_and_loses_no_word() -> None:
    text = "One sentence here, and it is not short at all. Another one follows it. And a third."
    lines = lines_of(text, 3)
    assert " ".join(line.text for line in lines) == text
    assert {line.speaker for line in lines} == {3}
    assert len(lines[0].text) < len(text)


def test_turns_keep_their_order_and_their_speakers() -> None:
    lines = lines_of([(0, "Hello."), ("en-gb", "Hi there!"), (0, "Bye.")], 9)
    assert [(line.speaker, line.text) for line in lines] == [(0, "Hello."), ("en-gb", "Hi there!"), (0, "Bye.")]


def test_a_turn_without_a_word_is_left_out() -> None:
    assert [line.text for line in lines_of([(0, "Hello."), (1, " ... "), (0, "Bye.")], 0)] == ["Hello.", "Bye."]


@pytest.mark.parametrize("nothing", ["", "  \n", "...", [], [(0, "")]])
def test_nothing_to_say_is_an_error(nothing: str | list[tuple[int, str]]) -> None:
    with pytest.raises(NothingToSay):
        lines_of(nothing, 0)


@pytest.mark.parametrize("turn", ["text", (0, 1), (0, "a", "b"), None, (1.5, "half a speaker")])
def test_what_is_no_turn_is_shown_in_the_error(turn: object) -> None:
    with pytest.raises(InvalidInput, match="no turn of a dialogue") as told:
        lines_of([turn], 0)  # type: ignore[list-item]
    assert "(0, 'Hello.')" in told.value.hint


def test_speakers_get_voices_that_differ_and_that_the_engine_has() -> None:
    engine, cast = EspeakEngine(), Cast()
    voices = [cast.voice(speaker, engine) for speaker in range(8)]
    assert len(set(voices)) == 8
    for voice in voices:
        assert voice is not None
        assert engine.knows_voice(voice)


def test_named_voices_go_by_number_or_by_speaker() -> None:
    engine = ToneEngine()
    assert Cast(["square", "sine"]).voice(1, engine) == "sine"
    assert Cast({7: "square", "narrator": "sine"}).voice("narrator", engine) == "sine"


def test_a_speaker_may_be_a_voice_s_own_name() -> None:
    assert Cast().voice("square", ToneEngine()) == "square"


@pytest.mark.parametrize("cast", [Cast(), Cast(["sine"])])
def test_a_speaker_without_a_voice_is_an_error_that_says_how_to_name_one(cast: Cast) -> None:
    with pytest.raises(InvalidInput, match="no voice for speaker 5") as told:
        cast.voice(5, ToneEngine())
    assert "voices=" in told.value.hint


def test_one_name_in_place_of_a_list_is_told() -> None:
    with pytest.raises(InvalidInput, match="one name"):
        Cast("alloy")
