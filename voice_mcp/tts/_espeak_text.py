"""Text as espeak-ng is given it: nothing it would obey or choke on, in pieces that are soon said.

A piece is said in one go and is the grain of everything else: of the memory an unread stream takes, and of the turns
that streams take at the library. Text of ordinary length is one piece, so that its melody is the library's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_CHARS = 320
_LEAST_CHARS = 120

_UNSPEAKABLE = frozenset({"Cc", "Cn", "Co", "Cs"})
"""Unicode categories: control characters steer espeak-ng, and NUL ends its text; it spells unassigned and private ones
out in hexadecimal; a lone surrogate is no UTF-8."""
_KEPT = frozenset("\t\n")
_BRAILLE = range(0x2800, 0x2900)
"""Spelt out dot by dot; in what agents write they are spinners."""

_BREAKS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]|\n"),
    re.compile(r"[,;:–—]\s+|[，；：、]"),
    re.compile(r"\s+"),
)
"""Where to cut, the best place first."""

_LONG_RUN = re.compile(r"[^\s。！？，；：、]{48}")
"""espeak-ng 1.52 keeps a word's sounds in buffers of 80 to 200 bytes on the C stack and does not always look where they
end: ``"s'" * 80`` ends the process. Fuzzing found two ways there, runs of more than 100 characters without a break and
symbols that are spelt out in hexadecimal; so long runs are cut, and those symbols left out. After that, 7,200 texts of
rubbish in all voices ended the process three times, each time in a Vietnamese voice (a bug of its own).
"""
_SEAM = re.compile(r"[^\w\s](?=\w)")

_SENTENCE_PAUSE_S = 0.2
_CLAUSE_PAUSE_S = 0.12
_CLAUSE_ENDS = tuple(",;:–—，；：、")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text."""

    text: str
    start_char: int
    is_last: bool
    ends_inside_word: bool
    """Whether it was cut where no pause belongs."""


class _Tamer:
    """A table for ``str.translate`` that is worked out character by character."""

    def __getitem__(self, code: int) -> str:
        char = chr(code)
        unspeakable = code in _BRAILLE or unicodedata.category(char) in _UNSPEAKABLE
        return " " if unspeakable and char not in _KEPT else char


def clean(text: str) -> str:
    """The text, as long as before, with a space for each character that espeak-ng must not see."""
    return text.translate(_Tamer())


def pieces(text: str) -> Iterator[Piece]:
    """Cut a text at the ends of sentences where it can be; at least one piece, and every character in one."""
    start, end = 0, -1
    while end < len(text):
        end, inside_word = _end_of_piece(text, start)
        yield Piece(text[start:end], start, is_last=end == len(text), ends_inside_word=inside_word)
        start = end


def closing_pause_s(text: str, speed: float) -> float:
    """Seconds of silence to leave after a segment, so that the next one does not tread on it.

    The library's own pause at the end (300 ms, 530 ms after a blank line, five times that when slow; measured) is made
    for the middle of a text.
    """
    pause_s = _CLAUSE_PAUSE_S if text.rstrip().endswith(_CLAUSE_ENDS) else _SENTENCE_PAUSE_S
    return pause_s / min(max(speed, 0.8), 2.0)


def _end_of_piece(text: str, start: int) -> tuple[int, bool]:
    """Where the piece ends that begins at ``start``, and whether that is inside a word."""
    end = _natural_end(text, start)
    run = _LONG_RUN.search(text, start, end)
    if run is None or run.end() == end:
        return end, False
    return _last_seam(text, run.start(), run.end()), True


def _natural_end(text: str, start: int) -> int:
    """Where to end a piece by what it says."""
    if len(text) - start <= _MOST_CHARS:
        return len(text)
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, start + _LEAST_CHARS, start + _MOST_CHARS)]
        if ends:
            return ends[-1]
    return start + _MOST_CHARS


def _last_seam(text: str, start: int, end: int) -> int:
    """Where to cut a run without spaces: behind punctuation in its second half (a URL, a path), or at its end."""
    seams = [match.end() for match in _SEAM.finditer(text, (start + end) // 2, end)]
    return seams[-1] if seams else end
