"""Text as Kokoro's network takes it: phonemes, in phrases that it makes whole. Thread: the engine's.

    text ─▶ sentences ─▶ espeak-ng ─▶ phonemes ─▶ phrases: a sentence, several short ones, or a part of a long one

Sentences end where the text says so: among phonemes "doctor. Smith" looks like two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from voice_mcp.sentences import sentence_ends
from voice_mcp.tts._espeak_text import pieces

LEAST_PHONEMES = 60
"""A phrase is at least so long, but for the first: very short ones are spoken at another pace than their neighbours."""
MOST_PHONEMES = 200
"""And about so long at most, some 15 s of sound: text that is short can be long to say, as numbers are."""

_CLAUSE_END = re.compile(r"(?<=[,;:—…])\s+")
_SPACE = re.compile(r"\s+")
_DOT_INSIDE = re.compile(r"(?<![.\s])\.(?=\s+\w)")
"""A full stop that ends no sentence."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What the network is given in one go."""

    phonemes: str
    pause_follows: bool
    """Whether it ends where a speaker would breathe, and not between two words."""


class Reader:
    """espeak-ng, as Kokoro learnt to read with it: a copy of the library for each language, of this reader alone.

    kokoro-onnx says where espeak-ng is; so it is there before this reads.

    Args:
        known: The phonemes that the network has tokens for.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._backends: dict[str, Any] = {}

    def read(self, text: str, language: str) -> str:
        """The phonemes of a text.

        Args:
            text: One line, which espeak-ng survives.
            language: As espeak-ng calls it.
        """
        # Where a word is of another language, espeak-ng says so within the phonemes: "(en)", and "(fr)" behind it.
        # kokoro-onnx would leave that in, and the network would speak it.
        (phonemes,) = self._backend(language).phonemize([text]) or [""]
        return "".join(filter(self._known.__contains__, phonemes)).strip()

    def _backend(self, language: str) -> Any:
        if language not in self._backends:
            from phonemizer.backend import EspeakBackend
            from phonemizer.logger import get_logger

            self._backends[language] = EspeakBackend(
                language,
                preserve_punctuation=True,
                with_stress=True,
                language_switch="remove-flags",
                logger=get_logger("quiet"),
            )
        return self._backends[language]


def phrases(text: str, language: str, read: Callable[[str], str]) -> Iterator[Phrase]:
    """A text as phrases.

    Args:
        text: Clean, as ``_espeak_text`` has it.
        language: A tag, or a name as espeak-ng has it.
        read: The phonemes of a piece of a sentence.
    """
    held = ""
    is_first = True
    for sentence in _sentences(text, language, read):
        if held and (is_first or len(held) >= LEAST_PHONEMES):
            yield from _in_parts(held)
            held, is_first = sentence, False
        else:
            held = f"{held} {sentence}".lstrip()
    if held:
        yield from _in_parts(held)


def _sentences(text: str, language: str, read: Callable[[str], str]) -> Iterator[str]:
    """The phonemes of each sentence that has any."""
    for start, end in pairwise([0, *sentence_ends(text, language)]):
        phonemes = ""
        for piece in pieces(text[start:end]):
            phonemes += read(" ".join(piece.text.split())) + ("" if piece.ends_inside_word else " ")
        if any(map(str.isalpha, phonemes)):
            yield _DOT_INSIDE.sub("", phonemes.strip())


def _in_parts(phonemes: str) -> Iterator[Phrase]:
    """Phonemes that end with a sentence, cut where they are too many."""
    while len(phonemes) > MOST_PHONEMES:
        end = _cut(phonemes)
        part = phonemes[:end].rstrip()
        yield Phrase(part, pause_follows=_CLAUSE_END.match(phonemes, len(part)) is not None)
        phonemes = phonemes[end:]
    yield Phrase(phonemes, pause_follows=True)


def _cut(phonemes: str) -> int:
    """Where to cut: near the end of the first of equal parts, behind a clause if it can be, else between words."""
    count = -(-len(phonemes) // MOST_PHONEMES)
    aim = -(-len(phonemes) // count)
    latest = min(MOST_PHONEMES, len(phonemes) - LEAST_PHONEMES)
    for pattern in (_CLAUSE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(phonemes, LEAST_PHONEMES, latest)]
        if ends:
            return min(ends, key=lambda end: abs(end - aim))
    return aim
