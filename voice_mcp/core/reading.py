"""Reads parsed Markdown aloud: which blocks are said, in which words, with which pauses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voice_mcp.core import code_blocks, html_text
from voice_mcp.core.inline_text import InlineText, Token, shown
from voice_mcp.core.source_lines import SourceLines
from voice_mcp.core.tracing import TracedText
from voice_mcp.core.wording import say

_ENDINGS = ".!?:;,…。！？：；，、—"
_CLOSERS = "\"')]}”’»›*"
_LONGEST_CLOSING = 4
_MOST_ROWS_READ = 5
_YES = frozenset("✅✔✓☑")
_NO = frozenset("❌✗✘✖")
_TASKS = {"[ ] ": "To do: ", "[x] ": "Done: ", "[X] ": "Done: "}


class Reader:
    """Turns the tokens of one message into speech.

    Args:
        message: The text that was parsed; the result's offsets lead back to it.
    """

    def __init__(self, message: str) -> None:
        self._lines = SourceLines(message)
        self._out = TracedText()
        self._lists: list[int | None] = []
        self._opening = TracedText()

    def read(self, tokens: Sequence[Token]) -> TracedText:
        """What is said, one block a line."""
        blocks = iter(tokens)
        for token in blocks:
            self._read_block(token, blocks)
        return self._out

    def _read_block(self, token: Token, following: Iterator[Token]) -> None:
        match token.type:
            case "inline":
                self._say_block(self._line(token, self._lines.place(token)), ended=bool(self._lists))
            case "heading_open":
                heading = next(following)
                self._say_block(self._line(heading, self._lines.place(heading)), ended=True)
            case "fence" | "code_block":
                self._announce(token, code_blocks.announcement(token.content, token.info))
            case "html_block":
                self._say_block(self._html(token), ended=bool(self._lists))
            case "table_open":
                self._table(token, following)
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._opening = TracedText()
            case "list_item_open":
                self._begin_item(token)

    # --- blocks --------------------------------------------------------------------------------------------------

    def _say_block(self, line: TracedText, *, ended: bool) -> None:
        """Say a line on its own, after the number of the list item that it begins.

        Args:
            line: What is said, before its words are looked at.
            ended: Whether it must end with punctuation even when nothing follows it.
        """
        said = TracedText()
        say(line, said)
        said.strip_end(" \t\n")
        text = str(said)
        start = len(text) - len(text.lstrip(" \t\n"))
        if start == len(text):
            return
        self._begin_block()
        self._out.copy(said, start)
        if ended:
            self._end_sentence()

    def _announce(self, token: Token, text: str) -> None:
        if text:
            self._begin_block()
            first, end = token.map or (0, 0)
            self._out.add(text, self._lines.start(first), self._lines.end(end - 1))

    def _begin_block(self) -> None:
        if self._out:
            self._end_sentence()
            self._out.insert("\n")
        self._out.copy(self._opening)
        self._opening = TracedText()

    def _end_sentence(self) -> None:
        tail = TracedText()
        tail.copy(self._out, max(len(self._out) - _LONGEST_CLOSING, 0))
        if not str(tail).rstrip(_CLOSERS).endswith(tuple(_ENDINGS)):
            self._out.insert(".")

    def _begin_item(self, token: Token) -> None:
        number = self._lists[-1]
        self._opening = TracedText()
        if number is None or not token.map:
            return
        self._lists[-1] = number + 1
        marker = f"{token.info}{token.markup}"
        at = self._lines.find(marker, token.map[0])
        self._opening.add(f"{number}. ", at, at + len(marker) + 1)

    # --- tables --------------------------------------------------------------------------------------------------

    def _table(self, opening: Token, following: Iterator[Token]) -> None:
        rows = self._rows(following)
        columns = [str(cell) for cell in rows[0]]
        if 1 < len(rows) <= _MOST_ROWS_READ + 1:
            for row in rows[1:]:
                self._row(columns, row)
            return
        count = len(rows) - 1
        names = ", ".join(filter(None, columns))
        size = f"Table with {count} rows" if count else "Empty table"
        self._announce(opening, f"{size}: columns {names}." if names else f"{size}.")

    def _rows(self, following: Iterator[Token]) -> list[list[TracedText]]:
        rows: list[list[TracedText]] = []
        cursor = 0
        for token in following:
            if token.type == "table_close":
                break
            if token.type == "tr_open" and token.map:
                rows.append([])
                cursor = self._lines.start(token.map[0])
            elif token.type == "inline":
                placed = self._lines.place_cell(token, cursor)
                cursor = max(cursor, placed.reached)
                rows[-1].append(self._cell(token, placed))
        return rows

    def _cell(self, token: Token, placed: TracedText) -> TracedText:
        said = TracedText()
        sign = token.content.strip("\ufe0f ")
        if sign in _YES or sign in _NO:
            said.add("yes" if sign in _YES else "no", placed.start_of(0), placed.reached)
            return said
        say(self._line(token, placed), said)
        said.strip_end(" \t.;,\n")
        return said

    def _row(self, columns: list[str], cells: list[TracedText]) -> None:
        begun = False
        for name, cell in zip(columns, cells, strict=False):
            if not cell:
                continue
            if begun:
                self._out.insert(", ")
            else:
                self._begin_block()
            if name:
                self._out.insert(f"{_lowered(name) if begun else name}: ")
            self._out.copy(cell)
            begun = True
        if begun:
            self._end_sentence()

    # --- lines ---------------------------------------------------------------------------------------------------

    def _line(self, token: Token, placed: TracedText) -> TracedText:
        """The text of an inline token, its markup gone."""
        line = InlineText(placed)
        for child in shown(token.children or ()):
            line.read(child)
        return line.finished(_TASKS if self._lists else {})

    def _html(self, token: Token) -> TracedText:
        line = InlineText(self._lines.place(token))
        for kind, start, end in html_text.stretches(token.content):
            if kind is html_text.Kind.BREAK:
                line.hard_break(start)
            else:
                line.read_html(start, end)
        return line.finished({})


def _lowered(name: str) -> str:
    """A column's name in the middle of a sentence."""
    return name[0].lower() + name[1:] if name[1:] and name[1:] == name[1:].lower() else name
