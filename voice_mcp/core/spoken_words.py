"""The words of a transcript, as they are compared: without case, punctuation and the recogniser's taste."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_APOSTROPHES = "'’ʼ＇"
_HYPHENS = ("-", "‐", "‑")
_PARTING = ".,;:!?…—–-。，、；：！？؟،।"
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA")
"""Scripts in which a word is not seen; every character is one here, so that a phrase is found at the end of a text."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text."""

    text: str
    """As it is compared."""
    start: int
    """Where it begins in the text as it was given."""
    end: int
    before: str
    """What stands between it and the word before, spaces aside."""
    is_first: bool = False

    @property
    def is_set_off(self) -> bool:
        """Whether it begins a text, a sentence or a clause: quotation marks and hyphens part nothing."""
        return self.is_first or any(mark in _PARTING for mark in self.before)


def words_of(text: str) -> list[Word]:
    """The words, in order. A hyphen or an apostrophe inside a word parts nothing."""
    words: list[Word] = []
    at = 0
    for start, end in _stretches(text):
        between = text[at:start]
        before = "" if between in _HYPHENS else "".join(between.split())
        words.append(Word(_folded(text[start:end]), start, end, before, is_first=not words))
        at = end
    return words


def phrase_of(text: str) -> tuple[str, ...]:
    """A phrase as it is looked for."""
    return tuple(word.text for word in words_of(text))


def word_set(text: str) -> frozenset[str]:
    """Words as they are compared, written with spaces between them."""
    return frozenset(_folded(word) for word in text.split())


def phrase_set(text: str) -> tuple[tuple[str, ...], ...]:
    """Phrases as they are looked for, written with ``|`` between them; the longest first."""
    return tuple(sorted({phrase_of(phrase) for phrase in text.split("|")} - {()}, key=len, reverse=True))


def stands_at(words: Sequence[Word], first: int, phrase: tuple[str, ...]) -> bool:
    """Whether ``phrase`` begins with the word numbered ``first``."""
    return first >= 0 and tuple(word.text for word in words[first : first + len(phrase)]) == phrase


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join("'" if character in _APOSTROPHES else character for character in plain)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    start: int | None = None
    for at, character in enumerate(text):
        stands_alone = _stands_alone(character)
        if start is not None and (stands_alone or not _goes_on(text, at)):
            yield start, at
            start = None
        if stands_alone:
            yield at, at + 1
        elif start is None and _is_letter(character):
            start = at
    if start is not None:
        yield start, len(text)


def _goes_on(text: str, at: int) -> bool:
    """Whether a word that has begun goes on with this character."""
    if text[at] in _APOSTROPHES:
        return at + 1 < len(text) and _is_letter(text[at + 1])
    return _is_letter(text[at])


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _stands_alone(character: str) -> bool:
    return character > "\u2e7f" and unicodedata.name(character, "").startswith(_WITHOUT_SPACES)
