"""Which phrases may be kept on disk, as sound: a few plain words, in which no key, number or token fits.

Secrets cannot be recognised for certain, so this goes the other way: it lets through what consists of ordinary words
alone, written as words are written, and nothing else. What is refused by mistake costs a request. A secret that is made
of ordinary words and not announced passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

MOST_CHARS = 80
MOST_WORDS = 12
MOST_LETTERS = 20
"""Of one word."""
MOST_CAPITALISED = 2
"""Words that begin with a capital, after the first: random letters are said as many short ones (``aBcDefGhi``)."""
LONGEST_ABBREVIATION = 6

_BEFORE = "\"'“‘„«‹(¿¡"
_AFTER = "\"'”’»›).,;:!?…。、！？।"
_MOST_PUNCTUATION = 4
"""Around one word."""
_PAUSE = re.compile("[–—…]")
_JOINT = re.compile("['’‐‑-]")
_NAME_JOINT = re.compile("[-_./:'’]")
_MOST_PARTS = 3
_UNSPEAKABLE = re.compile("[bcdfghj-np-tv-xz]{6}", re.IGNORECASE)
"""More consonants in a row than "strengths" has."""
_ANNOUNCING = (
    *("password", "passwd", "passphrase", "passcode", "passkey", "passwort", "kennwort", "pin", "otp"),
    *("token", "key", "apikey", "secret", "credential", "code", "login", "auth", "bearer"),
    *("seed", "mnemonic", "cvv", "cvc", "iban", "ssn"),
)
"""How words begin that announce a secret: a further caution, never the only one."""


def is_plain(text: str) -> bool:
    """Whether ``text`` is short, and plain words with ordinary punctuation and nothing else."""
    if len(text) > MOST_CHARS:
        return False
    tokens = _PAUSE.sub(" ", unicodedata.normalize("NFKC", text)).split()
    words = [token.lstrip(_BEFORE).rstrip(_AFTER) for token in tokens]
    if not 0 < len(words) <= MOST_WORDS:
        return False
    if any(len(token) - len(word) > _MOST_PUNCTUATION for token, word in zip(tokens, words, strict=True)):
        return False
    return all(map(_is_word, words)) and not (_is_spelt(words) or _is_capitalised(words) or _announces(words))


def is_ordinary(name: str) -> bool:
    """Whether a name consists of what could be words, as ``config.py``, ``not-set`` and ``OPENAI_API_KEY`` do."""
    return all(_is_natural(part) for part in _NAME_JOINT.split(name) if part)


def _is_word(word: str) -> bool:
    parts = _JOINT.split(word)
    return len(word) <= MOST_LETTERS and len(parts) <= _MOST_PARTS and all(map(_is_natural, parts))


def _is_natural(part: str) -> bool:
    """Letters alone, with capitals where they belong, that somebody could pronounce."""
    # Marks are letters here: Hindi and Thai write vowels with them.
    if not part or any(unicodedata.category(character)[0] not in "LM" for character in part):
        return False
    lower = part[1:] == part[1:].lower()
    return (lower or (part.isupper() and len(part) <= LONGEST_ABBREVIATION)) and not _UNSPEAKABLE.search(part)


def _is_spelt(words: Sequence[str]) -> bool:
    """Letter by letter, as passwords are."""
    return any(len(one) == len(other) == 1 for one, other in pairwise(words))


def _is_capitalised(words: Sequence[str]) -> bool:
    capitalised = [word for word in words[1:] if word[0].isupper() and _JOINT.split(word)[0] != "I"]
    return len(capitalised) > MOST_CAPITALISED


def _announces(words: Sequence[str]) -> bool:
    return any(part.casefold().startswith(_ANNOUNCING) for word in words for part in _JOINT.split(word))
