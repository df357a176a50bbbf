"""Cuts Markdown that is still arriving into blocks that can be spoken already."""

from __future__ import annotations

import re

from voice_mcp.sentences import sentence_ends

_FENCE = r" *(`{3,}|~{3,})"
_LIST = r" *(?:[-*+]|\d{1,9}[.)])\s"
# Lines that mean something only together with their neighbours: lists, quotes, tables, HTML, headings, indented code.
_STRUCTURE = rf"{_LIST}|{_FENCE}| *[>|#<]|    | *\t"
_STRUCTURE_CHARS = 64
_HEADING = r" {0,3}#{1,6}\s"
_STOPS = ".!?…"
_WIDE_STOPS = "。！？"
_CLOSERS = "\"')]”’»*_"
_REMEMBERED_CHARS = 100


class BlockReader:
    """Takes text as it comes, gives back whole blocks; what it gives back is, put together, what it took.

    A block ends with a blank line, a heading's line, a closed code fence, or a sentence of plain text. Where it ends
    depends on the text alone, not on how the text was cut on its way.
    """

    def __init__(self) -> None:
        self._fence = ""
        self._start_block()

    def push(self, text: str) -> list[str]:
        """Take the next text; return the blocks that are complete now."""
        blocks: list[str] = []
        for character in text:
            if not self._fence and not character.isspace() and self._ends_before(character):
                blocks.append(self._taken())
            self._take(character)
            if character == "\n":
                blocks += self._end_line()
        return blocks

    def flush(self) -> list[str]:
        """No more text will come; return what is left. The reader can be used for another text."""
        self._fence = ""
        rest = self._taken()
        return [rest] if rest else []

    def _start_block(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._tail = ""
        self._is_blank = True
        self._is_structure = False
        self._is_list = False
        self._list_is_closing = False
        self._open_marks = 0
        self._ticks = 0
        self._stars = 0

    def _taken(self) -> str:
        block = "".join([*self._lines, *self._line])
        self._start_block()
        return block

    def _take(self, character: str) -> None:
        self._line.append(character)
        if self._fence:
            return
        if not character.isspace():
            self._is_blank = self._list_is_closing = False
        self._open_marks += (character in "[(") - (character in "])")
        self._ticks += character == "`"
        self._stars += character == "*" and not self._tail.endswith("*")
        self._tail = (self._tail + character)[-_REMEMBERED_CHARS:]

    def _end_line(self) -> list[str]:
        """Take note of a whole line; return the blocks that it completes."""
        line = "".join(self._line)
        if self._fence:
            return self._end_code_line(line)
        if fence := re.match(_FENCE, line):
            return self._begin_fence(line, fence[1])
        self._lines.append(line)
        self._line = []
        if not line.strip():
            self._list_is_closing = self._is_list
            return [] if self._is_blank or self._is_list else [self._taken()]
        if re.match(_HEADING, line) and not self._is_list:
            return [self._taken()]
        self._is_structure = self._is_structure or _is_structure(line)
        self._is_list = self._is_list or re.match(_LIST, line) is not None
        return []

    def _end_code_line(self, line: str) -> list[str]:
        self._lines.append(line)
        self._line = []
        bare = line.strip()
        if bare.startswith(self._fence) and not bare.strip(self._fence[0]):
            self._fence = ""
            return [self._taken()]
        return []

    def _begin_fence(self, line: str, fence: str) -> list[str]:
        """End the block before a code fence, unless it is blank, and begin that of the fence."""
        before = "".join(self._lines)
        self._start_block()
        self._fence = fence
        self._is_blank = False
        self._lines = [line] if before.strip() else [before, line]
        return [before] if before.strip() else []

    def _ends_before(self, character: str) -> bool:
        """Whether the block ends before ``character``, the first one of a word or of a line."""
        if self._list_is_closing and not self._line:
            return True
        if not self._can_end_here(character):
            return False
        # On one line, so that a line end behind an abbreviation is no more than a space.
        sentences = self._tail.replace("\n", " ")
        return len(sentences) in sentence_ends(sentences + character)

    def _can_end_here(self, character: str) -> bool:
        """Whether a sentence of plain text may have ended, outside of links, code and emphasis."""
        # Digits and signs could begin a list or a fence once they stand first.
        if self._is_blank or self._is_structure or not (character.isalpha() or character in "\"“'(¿¡"):
            return False
        if (
            self._open_marks > 0
            or self._ticks % 2
            or self._stars % 2
            or _is_structure("".join(self._line[:_STRUCTURE_CHARS]))
        ):
            return False
        sentence = self._tail.rstrip()
        if len(sentence) == len(self._tail):
            return sentence.endswith(tuple(_WIDE_STOPS))
        return sentence.rstrip(_CLOSERS).endswith(tuple(_STOPS + _WIDE_STOPS))


def _is_structure(line: str) -> bool:
    return re.match(_STRUCTURE, line) is not None or "|" in line
