"""Which words have been heard: positions in the sound to positions in the text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.types import WordMark

CHARS_PER_SECOND = 15.0
"""How fast speech runs through text at speed 1, where nothing better is known (175 words a minute)."""
SLOW_SPEECH = 0.6
"""The share of that at which the slowest voices speak: whoever goes on from there leaves out no word."""
DIGIT_CHARS, IDEOGRAPH_CHARS = 5.0, 4.0
"""How many letters a digit and an ideograph take as long to say as."""
FIRST_IDEOGRAPH = "\u2e80"


@dataclass(slots=True)
class Run:
    """A stretch of audio that speaks one stretch of text."""

    text: str
    start_s: float
    """Where it begins in the utterance's audio."""
    marks: Sequence[WordMark]
    """Where its words begin, if the engine says so; may still grow."""
    end_s: float | None = None
    """Where it ends; None while it is still arriving."""


def spoken_chars(run: Run, heard_s: float, *, speed: float = 1.0) -> int:
    """How many characters of ``run.text`` had been spoken when ``heard_s`` seconds of the utterance had been heard.

    Always ends at the end of a word: a word that was cut counts as unheard. With word marks that is exact. Without them
    the text is laid evenly over the audio; while the audio's end is not known a slow voice is assumed, and the last
    word counts as unheard however long it lasted.

    Args:
        run: What was being spoken.
        heard_s: Seconds of the whole utterance that were heard.
        speed: The speed that was asked for, for the usual pace.
    """
    into_s = heard_s - run.start_s
    if into_s <= 0:
        return 0
    if run.end_s is not None and heard_s >= run.end_s:
        return len(run.text)
    if run.marks:
        return _by_marks(run, into_s)
    lengths = [_spoken_length(char) for char in run.text]
    if run.end_s is not None:
        return _word_end_before(run.text, _reached(lengths, into_s / (run.end_s - run.start_s) * sum(lengths)))
    reached = _reached(lengths, into_s * CHARS_PER_SECOND * SLOW_SPEECH * speed)
    return _word_end_before(run.text, min(reached, len(run.text.rstrip()) - 1))


def word_began_s(run: Run, heard_s: float) -> float | None:
    """Where in the utterance's audio the first word begins that had not been wholly heard after ``heard_s`` seconds.

    None when the engine does not say where words begin.
    """
    if heard_s <= run.start_s:
        return run.start_s
    if run.end_s is not None and heard_s >= run.end_s:
        return run.end_s
    if not run.marks:
        return None
    begun = [mark.start_s for mark in run.marks if mark.start_s <= heard_s - run.start_s]
    return run.start_s + (begun[-1] if begun else 0.0)


def _spoken_length(char: str) -> float:
    """How long a character takes to say, in letters."""
    if char.isdigit():
        return DIGIT_CHARS
    if char >= FIRST_IDEOGRAPH and char.isalpha():
        return IDEOGRAPH_CHARS
    return 1.0


def _reached(lengths: Sequence[float], spoken: float) -> int:
    """How many characters have been said, when so many letters have."""
    for index, length in enumerate(lengths):
        spoken -= length
        if spoken < -1e-9:
            return index
    return len(lengths)


def expected_seconds(chars: int, *, speed: float = 1.0) -> float:
    """How long so many characters will take to say, roughly."""
    return chars / (CHARS_PER_SECOND * speed)


def _by_marks(run: Run, into_s: float) -> int:
    """A word has been heard when the next one has begun."""
    begun = [mark for mark in run.marks if mark.start_s <= into_s]
    return len(run.text[: begun[-1].start_char].rstrip()) if begun else 0


def _word_end_before(text: str, offset: int) -> int:
    """The end of the last word that ends at or before ``offset``."""
    if offset >= len(text):
        return len(text)
    if offset > 0 and text[offset].isspace() and not text[offset - 1].isspace():
        return offset
    while offset > 0 and not text[offset - 1].isspace():
        offset -= 1
    return len(text[:offset].rstrip())
