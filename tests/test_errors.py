"""The tree of errors: what every one of them owes to whoever meets it."""

from __future__ import annotations

import inspect
import re

import pytest

from voice_mcp import errors
from voice_mcp.errors import EngineBusy, EngineRefused, NothingToSay, SpeechCutOff, VoiceError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, VoiceError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_in_a_sentence_what_to_do_next(kind: type[VoiceError]) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", kind.hint)
    assert kind.__doc__


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_drawn_in_the_tree(kind: type[VoiceError]) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in TREE]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_message_and_hint_are_the_two_sentences_that_are_read() -> None:
    error = NothingToSay("The message is empty.")

    assert str(error) == error.message == "The message is empty."
    assert error.advice == "The message is empty. Pass a message with at least one word."


def test_an_error_may_bring_its_own_hint_and_the_others_keep_theirs() -> None:
    error = NothingToSay("The message is empty.", hint="Say something.")

    assert error.advice == "The message is empty. Say something."
    assert NothingToSay.hint != error.hint


def test_errors_of_engines_carry_what_the_engine_answered() -> None:
    assert EngineRefused("No.", status=401).status == 401
    assert not EngineRefused("No.", status=401).retryable
    assert EngineBusy("Later.", retry_after_s=3.0).retry_after_s == 3.0
    assert EngineBusy("Later.").retryable


def test_speech_that_was_cut_off_says_why_and_what_was_heard() -> None:
    error = SpeechCutOff(EngineBusy("The server is overloaded."), heard="One", unheard="two")

    assert error.message == "Speech was cut off: The server is overloaded."
    assert (error.heard, error.unheard) == ("One", "two")
