"""Text that remembers where it came from.

Speech is made from a message in steps, and each step rewrites: markup goes, words are put in, long names are cut
short. A ``TracedText`` is the result of one step together with the way back to the text the step began with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """A stretch of the text and the stretch of the origin it stands for."""

    text: str
    start: int
    """Offset in the origin where it begins."""
    end: int
    """Offset in the origin that is reached once it has been said."""
    exact: bool
    """Whether character ``i`` of it is character ``start + i`` of the origin."""


class TracedText:
    """Text under construction, piece by piece, in the order of its origin.

    The way back never runs backwards: a piece that claims to come from before its predecessor is moved up to it.
    """

    __slots__ = ("_length", "_offsets", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._offsets: list[int] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        return "".join(piece.text for piece in self._pieces)

    @property
    def last(self) -> str:
        """The last character; empty when there is none."""
        return self._pieces[-1].text[-1] if self._pieces else ""

    @property
    def reached(self) -> int:
        """Offset in the origin up to which it has come."""
        return self._pieces[-1].end if self._pieces else 0

    def add(self, text: str, start: int, end: int) -> None:
        """Append ``text``, which stands for ``start`` to ``end`` of the origin: one for one where the lengths agree."""
        if not text:
            return
        place = max(start, self.reached)
        exact = place == start and len(text) == end - start
        self._offsets.append(self._length)
        self._pieces.append(Piece(text, place, max(place, end), exact))
        self._length += len(text)

    def insert(self, text: str) -> None:
        """Append ``text``, which stands for nothing in the origin."""
        self.add(text, self.reached, self.reached)

    def close(self, end: int) -> None:
        """Count the origin up to ``end`` (a closing mark, say) as part of what was added last."""
        if self._pieces and end > self.reached:
            self._pieces[-1] = self._pieces[-1]._replace(end=end)

    def strip_end(self, characters: str = " \t") -> None:
        """Take ``characters`` off the end."""
        while self._pieces:
            piece = self._pieces[-1]
            kept = piece.text.rstrip(characters)
            if len(kept) == len(piece.text):
                return
            self._length -= len(piece.text) - len(kept)
            if kept:
                end = piece.start + len(kept) if piece.exact else piece.end
                self._pieces[-1] = piece._replace(text=kept, end=end)
                return
            self._pieces.pop()
            self._offsets.pop()

    def copy(self, other: TracedText, start: int = 0, end: int | None = None) -> None:
        """Append ``start`` to ``end`` of another text that has the same origin."""
        for piece in other._cut(start, len(other) if end is None else end):
            self._append(piece)

    def start_of(self, offset: int) -> int:
        """Where in the origin the character at ``offset`` begins."""
        if offset >= self._length:
            return self.reached
        index = bisect_right(self._offsets, offset) - 1
        piece = self._pieces[index]
        return piece.start + offset - self._offsets[index] if piece.exact else piece.start

    def end_of(self, offset: int) -> int:
        """Where in the origin one has got to when all before ``offset`` is said; never falls as ``offset`` grows."""
        if offset <= 0 or not self._pieces:
            return 0
        offset = min(offset, self._length)
        index = bisect_right(self._offsets, offset - 1) - 1
        piece = self._pieces[index]
        said = offset - self._offsets[index]
        if said == len(piece.text):
            return piece.end
        return piece.start + said if piece.exact else piece.start

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text everything is that stands for some of ``start`` to ``end`` of the origin; or nothing."""
        low = high = -1
        for at, piece in zip(self._offsets, self._pieces, strict=True):
            first, last = _overlap(piece, start, end)
            if first < last:
                low, high = (at + first if low < 0 else low), at + last
        return (low, high) if low >= 0 else (0, 0)

    def _append(self, piece: Piece) -> None:
        self.add(piece.text, piece.start, piece.start + len(piece.text) if piece.exact else piece.end)
        self.close(piece.end)

    def _cut(self, start: int, end: int) -> Iterator[Piece]:
        if start >= end:
            return
        for index in range(bisect_right(self._offsets, start) - 1, len(self._pieces)):
            at = self._offsets[index]
            if at >= end:
                return
            piece = self._pieces[index]
            low, high = max(start - at, 0), min(end - at, len(piece.text))
            yield _part(piece, low, high)


def _overlap(piece: Piece, start: int, end: int) -> tuple[int, int]:
    """Which characters of a piece stand for some of ``start`` to ``end`` of the origin."""
    if piece.exact:
        return max(start - piece.start, 0), min(end - piece.start, len(piece.text))
    return (0, len(piece.text)) if piece.start < end and start < piece.end else (0, 0)


def _part(piece: Piece, low: int, high: int) -> Piece:
    """Characters ``low`` to ``high`` of a piece."""
    whole_end = high == len(piece.text)
    if low == 0 and whole_end:
        return piece
    if piece.exact:
        end = piece.end if whole_end else piece.start + high
        return Piece(piece.text[low:high], piece.start + low, end, exact=True)
    return Piece(piece.text[low:high], piece.start, piece.end if whole_end else piece.start, exact=False)
