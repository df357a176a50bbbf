"""Finds the content of Markdown blocks again in the message they were parsed from."""

from __future__ import annotations

import re

from voice_mcp.core.inline_text import Token
from voice_mcp.core.tracing import TracedText


class SourceLines:
    """The lines of a message. markdown-it says for every block in which lines it stands, but not where in them."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._starts = [0, *(match.end() for match in re.finditer("\n", message))]

    def start(self, line: int) -> int:
        """Offset of the first character of ``line``."""
        return self._starts[min(line, len(self._starts) - 1)]

    def end(self, line: int) -> int:
        """Offset behind the last character of ``line``, its line end left out."""
        return self._starts[line + 1] - 1 if line + 1 < len(self._starts) else len(self._message)

    def find(self, text: str, line: int) -> int:
        """Offset of ``text`` in ``line``, or the line's own where it does not stand there."""
        return max(self._message.find(text, self.start(line), self.end(line)), self.start(line))

    def place(self, token: Token) -> TracedText:
        """A block's content, line by line: indents and quote marks before them are not part of it."""
        first = token.map[0] if token.map else 0
        placed = TracedText()
        for number, row in enumerate(token.content.split("\n"), first):
            start, end = self.start(number), self.end(number)
            if number > first:
                placed.add("\n", start - 1, start)
            bare = row.lstrip(" \t")
            at = self._message.rfind(bare, start, end)
            placed.add(row[: len(row) - len(bare)], max(at, start), max(at, start))
            placed.add(bare, max(at, start), at + len(bare) if at >= 0 else end)
        return placed

    def place_cell(self, token: Token, cursor: int) -> TracedText:
        """A table cell's content, found from ``cursor`` on in its line, where its bars are written escaped."""
        placed = TracedText()
        end = self.end(token.map[0] if token.map else 0)
        written = token.content
        at = self._message.find(written, cursor, end)
        if at < 0:
            written = token.content.replace("|", "\\|")
            at = self._message.find(written, cursor, end)
        placed.add(token.content, max(at, cursor), at + len(written) if at >= 0 else cursor)
        return placed
