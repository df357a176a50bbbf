"""What of a recording is sent to a recogniser, and what of its answer is believed."""

from __future__ import annotations

from array import array

import pytest

from voice_mcp.core.trimming import MARGIN_S, excerpt
from voice_mcp.types import LISTENING_FORMAT, SpeechSpan, Transcript, TranscriptPart

RATE_HZ = LISTENING_FORMAT.rate_hz


def ramp(seconds: float) -> bytes:
    """Frames that are all different, so that a cut can be found to the sample."""
    return array("h", range(-30_000, -30_000 + round(seconds * RATE_HZ))).tobytes()


def spans(*pairs: tuple[float, float]) -> list[SpeechSpan]:
    return [SpeechSpan(start_s, end_s) for start_s, end_s in pairs]


def cut(frames: bytes, start_s: float, end_s: float) -> bytes:
    return frames[2 * round(start_s * RATE_HZ) : 2 * round(end_s * RATE_HZ)]


def test_silence_around_speech_is_cut_off_but_for_a_little() -> None:
    frames = ramp(3.0)
    sound = excerpt(frames, spans((1.0, 1.5)))
    assert sound.frames == cut(frames, 1.0 - MARGIN_S, 1.5 + MARGIN_S)
    assert sound.spans == (SpeechSpan(MARGIN_S, MARGIN_S + 0.5),)
    assert sound.speech_s == 0.5


def test_pauses_between_words_stay() -> None:
    frames = ramp(3.0)
    assert excerpt(frames, spans((0.5, 0.8), (2.0, 2.4))).frames == cut(frames, 0.5 - MARGIN_S, 2.4 + MARGIN_S)


@pytest.mark.parametrize("pairs", [((0.0, 0.5),), ((0.1, 1.0),), ((0.0, 9.0),)])
def test_speech_at_an_end_is_kept_to_the_end_there_is(pairs: tuple[tuple[float, float], ...]) -> None:
    frames = ramp(1.0)
    sound = excerpt(frames, spans(*pairs))
    assert frames.startswith(sound.frames)
    assert sound.spans == tuple(spans(*pairs))


def test_where_nobody_looked_all_of_it_counts() -> None:
    sound = excerpt(ramp(1.0), None)
    assert (sound.frames, sound.speech_s, sound.is_speech) == (ramp(1.0), 1.0, True)


@pytest.mark.parametrize(
    ("pairs", "is_speech"),
    [((), False), (((1.0, 1.09),), False), (((1.0, 1.11),), True), (((0.5, 0.56), (1, 1.06)), True)],
)
def test_less_than_a_tenth_of_a_second_is_no_speech(pairs: tuple[tuple[float, float], ...], is_speech: bool) -> None:
    assert excerpt(ramp(2.0), spans(*pairs)).is_speech is is_speech


def told(*parts: tuple[str, float, float, float | None]) -> Transcript:
    made = tuple(TranscriptPart(*part) for part in parts)
    return Transcript("".join(part.text for part in made), "there", parts=made)


def test_words_that_the_model_doubts_are_left_out_where_nobody_spoke() -> None:
    sound = excerpt(ramp(3.5), spans((0.3, 1.0), (2.8, 3.2)))
    heard = told((" Yes.", 0.2, 1.0, 0.1), (" Thank you for watching.", 1.2, 2.5, 0.9), (" Bye.", 2.7, 3.3, 0.2))
    assert sound.words(heard) == "Yes. Bye."


def test_words_that_the_model_doubts_stay_where_somebody_spoke() -> None:
    sound = excerpt(ramp(2.0), spans((0.3, 1.5)))
    assert sound.words(told((" Thank you for watching.", 0.0, 1.6, 0.95))) == "Thank you for watching."


@pytest.mark.parametrize("doubt", [0.3, None])
def test_words_that_the_model_does_not_doubt_stay_wherever_it_places_them(doubt: float | None) -> None:
    sound = excerpt(ramp(3.0), spans((0.3, 0.8)))
    assert sound.words(told((" Yes.", 0.2, 0.8, 0.1), (" Softly.", 1.5, 2.5, doubt))) == "Yes. Softly."


def test_where_nobody_looked_the_models_doubt_alone_removes_nothing() -> None:
    assert excerpt(ramp(1.0), None).words(told((" Yes.", 0.0, 1.0, 0.99))) == "Yes."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[BLANK_AUDIO]", ""),
        (" (wind blowing) ", ""),
        ("[MUSIC] (applause)", ""),
        ("♪ ♪", ""),
        ("*coughs*", ""),
        ("  ", ""),
        ("Call it [draft] for now.", "Call it [draft] for now."),
        ("Yes (really).", "Yes (really)."),
        ("Thank you.", "Thank you."),
    ],
)
def test_a_remark_on_what_was_heard_is_nothing_that_was_said(text: str, words: str) -> None:
    assert excerpt(ramp(1.0), None).words(Transcript(text, "there")) == words
