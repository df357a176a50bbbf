"""Words that look like secrets: keys, tokens, passwords, card numbers. The one home of detect-secrets.

Its patterns know the keys of two dozen services, its measure of randomness the others, and its words for passwords what
follows them. Commit hashes, identifiers, file names and phone numbers are ordinary speech here and pass. So does a
password that is an ordinary word.

Nothing of it goes anywhere: of its detectors only the patterns are used, never what some of them have to ask a service
whether a key is still good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from voice_mcp.core.card_numbers import card_numbers
from voice_mcp.core.plain_words import is_ordinary
from voice_mcp.core.spans import Span, apart
from voice_mcp.core.wording import looks_random

SHORTEST_RANDOM = 20
"""Characters of a word that is judged by how random it is."""
SHORTEST_KEY = 10
"""Characters of a word that can hold a key."""
SHORTEST_PASSWORD = 4
WINDOW_CHARS, OVERLAP_CHARS = 2_000, 400
"""So much is looked at together: some patterns take time with the square of it. No key is longer than the overlap."""

_UNUSED = ("IPPublicDetector",)
"""An address is no secret."""
_TOKEN = re.compile(rf"[\w+/=-]{{{SHORTEST_RANDOM},}}", re.ASCII)
_PLAIN = re.compile(r"[(\"'“‘„«*_`]{0,4}[^\W\d_]?[^\W\d_A-Z]{0,25}[)\"'”’»*_`.,;:!?…-]{0,4}")
_ANNOUNCING = re.compile(r"\d(?:[ \u00a0\u202f-]?\d){11}|passw|(?<=\w)pass|pwd|secret|contrase|BEGIN", re.IGNORECASE)
"""A number as long as a card's, or what announces a secret that may be short."""
_SAYS = re.compile(r"(?<=\w)([\"'\]]?)\s(?:is|was|to|are)(?=\s)", re.IGNORECASE)
_AFTER = ".,;:!?…)]}>\"'"
"""What ends a sentence, not a password."""


@dataclass(frozen=True, slots=True)
class _Detector:
    """What is used of detect-secrets."""

    keys: tuple[tuple[re.Pattern[str], Any], ...]
    """Patterns, and the detectors they belong to."""
    passwords: dict[re.Pattern[str], int]
    """Patterns, and in which group the password is."""
    randomness: Any
    heuristics: Any


def may_hold_a_secret(text: str) -> bool:
    """Whether it is worth looking; quick, and right when it says no."""
    long_words = (word for word in text.split() if len(word) >= SHORTEST_KEY)
    return _ANNOUNCING.search(text) is not None or not all(map(_PLAIN.fullmatch, long_words))


def find_secrets(text: str) -> tuple[Span, ...]:
    """Where the words in ``text`` are that look like secrets, in order and apart. Thread: any; the first call imports.

    A text of some hundred characters takes a fraction of a millisecond.
    """
    found: list[Span] = []
    for at, line in _lines(text):
        if may_hold_a_secret(line):
            found += ((at + start, at + end) for start, end in _in_line(line))
    return tuple(apart(found))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text, where they begin, and long ones in windows."""
    for line in re.finditer(r".+", text):
        for start in range(0, max(len(line[0]) - OVERLAP_CHARS, 1), WINDOW_CHARS - OVERLAP_CHARS):
            yield line.start() + start, line[0][start : start + WINDOW_CHARS]


@cache
def load_detector() -> _Detector:
    """Import detect-secrets (100 ms) ahead of the first look. Thread: any."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.filters import heuristic
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString
    from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP as groups
    from detect_secrets.plugins.keyword import FOLLOWED_BY_COLON_REGEX, FOLLOWED_BY_EQUAL_SIGNS_REGEX

    mapping: dict[str, Any] = get_mapping_from_secret_type_to_class()
    kinds: list[Any] = [kind for kind in mapping.values() if issubclass(kind, RegexBasedDetector)]
    return _Detector(
        keys=tuple((pattern, kind()) for kind in kinds if kind.__name__ not in _UNUSED for pattern in kind.denylist),
        passwords={regex: groups[regex] for regex in (FOLLOWED_BY_COLON_REGEX, FOLLOWED_BY_EQUAL_SIGNS_REGEX)},
        randomness=Base64HighEntropyString(),
        heuristics=heuristic,
    )


def _in_line(line: str) -> Iterator[Span]:
    detector = load_detector()
    yield from card_numbers(line)
    for pattern, kind in detector.keys:
        for found in pattern.finditer(line):
            is_valid = getattr(kind, "is_formally_valid", None)
            if is_valid is None or is_valid(found[0]):
                yield found.span()
    for token in _TOKEN.finditer(line):
        if _is_random(detector, token[0]):
            yield token.span()
    yield from _passwords(detector, line)


def _is_random(detector: _Detector, token: str) -> bool:
    heuristics = detector.heuristics
    if heuristics.is_potential_uuid(token) or heuristics.is_sequential_string(token):
        return False
    entropy = detector.randomness.calculate_shannon_entropy(token)
    return looks_random(token) or bool(entropy > detector.randomness.entropy_limit and not is_ordinary(token))


def _passwords(detector: _Detector, line: str) -> Iterator[Span]:
    """What follows a word for passwords. People say "the password is x" where files have "password: x"."""
    said = _SAYS.sub(lambda found: f"{found[1]}:" + " " * (len(found[0]) - len(found[1]) - 1), line.replace("`", '"'))
    for pattern, group in detector.passwords.items():
        at = 0
        while (found := pattern.search(said, at)) is not None:
            start = found.start(group)
            word = found[group].split(maxsplit=1)[0].rstrip(_AFTER)
            at = max(start + len(word), at + 1)
            if len(word) >= SHORTEST_PASSWORD and not _is_no_password(detector, word):
                yield start, start + len(word)


def _is_no_password(detector: _Detector, word: str) -> bool:
    heuristics = detector.heuristics
    is_stand_in = (
        heuristics.is_templated_secret(word)
        or heuristics.is_prefixed_with_dollar_sign(word)
        or heuristics.is_not_alphanumeric_string(word)
        or heuristics.is_indirect_reference(f"x = {word}")
    )
    return is_stand_in or is_ordinary(word)
