"""What an engine is given for a text, with the way back to the text.

So what was heard of it, its captions, and where another engine goes on are right for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, overload

from voice_mcp.core.spans import Span
from voice_mcp.types import WordMark

STAND_IN = "a secret"


class _Cut(NamedTuple):
    """A stretch of what an engine was given, and the stretch it stands for."""

    start: int
    end: int
    origin_start: int
    origin_end: int


@dataclass(frozen=True, slots=True)
class Words:
    """What an engine is given for a stretch of text."""

    text: str
    cuts: tuple[_Cut, ...] = ()

    @classmethod
    def without(cls, text: str, hidden: Iterable[Span]) -> Words:
        """``text`` with a stand-in for each of the ``hidden`` stretches, which are in order and apart."""
        pieces, cuts, at, length = list[str](), list[_Cut](), 0, 0
        for start, end in hidden:
            before = " " if text[start - 1 : start].isalnum() else ""
            after = " " if text[end : end + 1].isalnum() else ""
            pieces += [text[at:start], f"{before}{STAND_IN}{after}"]
            place = length + start - at
            length = place + len(pieces[-1])
            cuts.append(_Cut(place, length, start, end))
            at = end
        return cls("".join((*pieces, text[at:])), tuple(cuts))

    def origin(self, offset: int) -> int:
        """How much of the stretch of text is said once the first ``offset`` characters of ``text`` are."""
        shift = 0
        for cut in self.cuts:
            if offset <= cut.start:
                break
            if offset < cut.end:
                return cut.origin_start  # half of a stand-in is nothing of what it stands for
            shift = cut.origin_end - cut.end
        return offset + shift

    def marks(self, marks: Sequence[WordMark]) -> Sequence[WordMark]:
        """An engine's marks, of which there may still be more to come, as marks of the stretch of text."""
        return _Marks(self, marks) if self.cuts else marks


class _Marks(Sequence[WordMark]):
    """Marks seen through ``Words``."""

    def __init__(self, words: Words, marks: Sequence[WordMark]) -> None:
        self._words = words
        self._marks = marks

    def __len__(self) -> int:
        return len(self._marks)

    @overload
    def __getitem__(self, index: int) -> WordMark: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[WordMark]: ...
    def __getitem__(self, index: int | slice) -> WordMark | Sequence[WordMark]:
        if isinstance(index, slice):
            return [self._mapped(mark) for mark in self._marks[index]]
        return self._mapped(self._marks[index])

    def _mapped(self, mark: WordMark) -> WordMark:
        start = self._words.origin(mark.start_char)
        end = self._words.origin(mark.start_char + mark.length_chars)
        return replace(mark, start_char=start, length_chars=max(end - start, 0))
