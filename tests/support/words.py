"""How well words were understood: the word error rate, as the field counts it."""

from __future__ import annotations

import re
from collections.abc import Iterable


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[\w']+", text.casefold())


def word_errors(said: str, understood: str) -> int:
    """The fewest words that were put in, left out or changed to make the one of the other (Levenshtein)."""
    truth, guess = words(said), words(understood)
    row = list(range(len(guess) + 1))
    for number, word in enumerate(truth, 1):
        above, row = row, [number]
        for at, other in enumerate(guess, 1):
            row.append(min(above[at] + 1, row[-1] + 1, above[at - 1] + (word != other)))
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Word errors for each word that was said, over all pairs of what was said and what was understood."""
    pairs = list(pairs)
    return sum(word_errors(said, understood) for said, understood in pairs) / sum(len(words(said)) for said, _ in pairs)
