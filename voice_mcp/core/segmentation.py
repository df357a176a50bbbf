"""Cuts what is said into segments for speech engines.

The first segment is short, so that sound starts early; later ones are longer, because engines speak a longer text more
naturally and every request has a price. Cuts fall where a speaker would breathe.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

from voice_mcp.sentences import sentence_ends

_FEWEST_CHARS = 12
_FEWEST_WORDS = 3
# Behind a comma, semicolon, colon or dash; not inside a date ("May 5, 2024") nor behind an abbreviation ("e.g., this").
_CLAUSE = r"(?<![.\s])(?:(?<!\d),|,(?!\s\d)|[;:])[\"')\]”’»]?\s+|\s[—–-]{1,2}\s+|[—，、；：]"
_ENGLISH_CONJUNCTION = (
    r"\s+(?=(?:and|but|or|because|which|who|while|so|then|when|where|if|although|since|unless|until|before|after)\s)"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """What an engine gets in one request."""

    text: str
    """Without white space around it."""
    start: int
    """Offset of its first character in the text that was cut."""
    end: int
    """Offset behind its last character."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Lengths in characters."""

    first: int
    most: int
    hard: int


def segment(
    text: str, *, language: str = "en", first_chars: int = 60, most_chars: int = 400, hard_limit_chars: int = 4096
) -> list[Segment]:
    """Cut ``text`` into segments that hold all of it but the white space between them, in order.

    Args:
        text: What is said; a line end always ends a sentence.
        language: BCP 47 tag or ISO 639 code: abbreviations and conjunctions differ.
        first_chars: The first segment is about this long where a breath allows it; one short sentence stays whole.
        most_chars: Later segments double up to this.
        hard_limit_chars: No segment is longer, whatever the text is.
    """
    hard = max(hard_limit_chars, 1)
    limits = _Limits(first_chars, min(max(most_chars, 1), hard), hard)
    ends = sentence_ends(text, language)
    segments: list[Segment] = []
    at = 0
    length = 0
    while at < len(text):
        at += len(_leading_space(text, at))
        if at == len(text):
            break
        budget = min(max(2 * length, 2 * first_chars), limits.most)
        end = _later_end(text, at, ends, budget) if segments else _first_end(text, at, ends, limits, language)
        if end - at > limits.most:
            end = _split(text, at, end, limits, language)
        spoken = text[at:end].rstrip()
        segments.append(Segment(spoken, at, at + len(spoken)))
        length = len(spoken)
        at = end
    return segments


def _leading_space(text: str, at: int) -> str:
    match = re.compile(r"\s*+").match(text, at)
    return match[0] if match else ""


def _first_end(text: str, at: int, ends: list[int], limits: _Limits, language: str) -> int:
    """Where the first segment ends: at a sentence if one ends soon, else at the first breath."""
    index = bisect_right(ends, at)
    while index < len(ends) - 1 and not _is_enough(text[at : ends[index]]):
        index += 1
    end = ends[index]
    if end - at <= limits.first * 4 // 3:
        return end
    window = text[at : min(end, at + limits.most)]
    clauses, conjunctions = _clauses(window), _conjunctions(window, language)
    breaths = [
        *(breath for breath in clauses if breath <= limits.first),
        *(breath for breath in conjunctions if breath <= limits.first),
        *clauses,
    ]
    enough = (at + b for b in breaths if _is_enough(window[:b]) and _is_enough(text[at + b : end]))
    return next(enough, end)


def _later_end(text: str, at: int, ends: list[int], budget: int) -> int:
    """Where a later segment ends: behind as many sentences as fit into ``budget`` characters, and at least one."""
    fitting = bisect_right(ends, at + budget) - 1
    return ends[max(fitting, bisect_right(ends, at))]


def _split(text: str, at: int, end: int, limits: _Limits, language: str) -> int:
    """Where to cut a sentence that is too long: at a clause, else between words, else where nothing is torn."""
    window = text[at : min(at + limits.most, end)]
    breaths = _clauses(window) or _conjunctions(window, language)
    breaths = [breath for breath in breaths if breath > len(window) // 3]
    if breaths:
        return at + breaths[-1]
    spaces = [match.end() for match in re.finditer(r"(?<![.\s])\s+(?!\d)", window) if match.start()]
    if spaces and spaces[-1] < len(window):
        return at + spaces[-1]
    gap = max(window.rfind(" "), window.rfind("\t"))
    return at + gap + 1 if gap > 0 else _safe_cut(text, at, at + limits.most, min(at + limits.hard, end))


def _clauses(text: str) -> list[int]:
    """Offsets behind the punctuation that ends clauses inside ``text``."""
    return [match.end() for match in re.finditer(_CLAUSE, text) if match.end() < len(text)]


def _conjunctions(text: str, language: str) -> list[int]:
    """Offsets of the words inside ``text`` that begin clauses; only those of English are known."""
    if not language.lower().startswith("en"):
        return []
    return [match.end() for match in re.finditer(_ENGLISH_CONJUNCTION, text)]


def _is_enough(text: str) -> bool:
    """Whether a piece is long enough to be spoken on its own."""
    bare = text.strip()
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in bare[:_FEWEST_CHARS])
    if wide * 2 >= _FEWEST_CHARS:
        return True
    return len(bare) >= _FEWEST_CHARS and len(bare.split(maxsplit=_FEWEST_WORDS)) >= _FEWEST_WORDS


def _safe_cut(text: str, at: int, wanted: int, latest: int) -> int:
    """The offset nearest to ``wanted`` that tears no character apart; ``latest`` when there is none."""
    for cut in range(wanted, at, -1):
        if not _is_torn(text, cut):
            return cut
    for cut in range(wanted + 1, latest):
        if not _is_torn(text, cut):
            return cut
    return latest


def _is_torn(text: str, cut: int) -> bool:
    """Whether ``cut`` falls inside what is one character to a reader."""
    if cut >= len(text):
        return False
    joiner = "\u200d"
    after = text[cut]
    if after == joiner or text[cut - 1] == joiner or unicodedata.category(after) in ("Mn", "Mc", "Me"):
        return True
    return "\U0001f3fb" <= after <= "\U0001f3ff" or "\udc00" <= after <= "\udfff"
