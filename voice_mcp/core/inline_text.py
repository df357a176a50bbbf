"""The text inside a block: emphasis, links, inline code and tags resolved, every character with its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from voice_mcp.core import html_text
from voice_mcp.core.tracing import TracedText
from voice_mcp.core.wording import say_code

_LINE_ENDINGS = ".!?:;…。！？：；"


class Token(Protocol):
    """What is used of a Markdown token."""

    @property
    def type(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def markup(self) -> str: ...
    @property
    def info(self) -> str: ...
    @property
    def attrs(self) -> Mapping[str, str | int | float]: ...
    @property
    def map(self) -> Sequence[int] | None:
        """First line, and the line after the last."""
        ...

    @property
    def children(self) -> Sequence[Token] | None: ...
    @property
    def meta(self) -> Mapping[Any, Any]:
        """For inline tokens ``at`` and ``to``: offsets in the content of their parent."""
        ...


class InlineText:
    """A line under construction from the children of one inline token.

    Args:
        placed: The token's content, with the way back to the message.
    """

    def __init__(self, placed: TracedText) -> None:
        self._placed = placed
        self._content = str(placed)
        self._text = TracedText()
        self._break_at = -1

    def read(self, child: Token) -> None:
        """Append what is said of ``child``."""
        at, to = child.meta["at"], child.meta["to"]
        match child.type:
            case "text":
                self._verbatim(child.content, at, to)
            case "text_special":
                self._replaced(_printable(child.content), at, at + len(child.markup))
            case "code_inline":
                self._code(child, at)
            case "image":
                self._image(child, at, to)
            case "softbreak":
                self._break_at = self._content.find("\n", at)
            case "hardbreak":
                self.hard_break(at)
            case "html_inline":
                self._tag(child.content, at)
            case "em_close" | "strong_close" | "s_close":
                self._text.close(self._placed.end_of(at + len(child.markup)))
            case "link_close":
                self._text.close(self._placed.end_of(to))

    def read_html(self, start: int, end: int) -> None:
        """Append a stretch of HTML's text: white space is one space, entities are resolved."""
        from html import unescape  # markdown-it has loaded it already; on its own it takes 6 ms

        for match in re.finditer(r"[^\s&]++|\s++|&(?:#?\w{1,32};)?", self._content[start:end]):
            part, at = match[0], start + match.start()
            if part.isspace():
                self._space(at, at + len(part))
            elif part.startswith("&"):
                self._replaced(_printable(unescape(part)), at, at + len(part))
            else:
                self._verbatim(part, at, at + len(part))

    def hard_break(self, at: int) -> None:
        """Begin a new line."""
        self._break_at = -1
        self._text.strip_end()
        if self._text and self._text.last != "\n":
            place = self._placed.start_of(at)
            self._text.add("\n", place, place)

    def finished(self, openings: Mapping[str, str]) -> TracedText:
        """The whole line, with the opening it may have (``[ ] ``) put into words."""
        text = str(self._text)
        for written, said in openings.items():
            if text.startswith(written):
                line = TracedText()
                line.add(said, self._text.start_of(0), self._text.end_of(len(written)))
                line.copy(self._text, len(written))
                return line
        return self._text

    def _verbatim(self, text: str, at: int, to: int) -> None:
        if not self._content.startswith(text, at):
            # An autolink's text begins behind its bracket, and may be written otherwise than it is shown.
            at = max(self._content.find(text, at, to), at)
        if self._content.startswith(text, at):
            self._join(text)
            indent = len(text) - len(text.lstrip(" ")) if self._text.last in ("", "\n") else 0
            self._text.copy(self._placed, at + indent, at + len(text))
        else:
            self._replaced(text, at, to)

    def _replaced(self, text: str, at: int, to: int) -> None:
        self._join(text)
        start, end = self._placed.start_of(at), self._placed.end_of(to)
        self._text.add(text, start, end)

    def _code(self, token: Token, at: int) -> None:
        start = at + len(token.markup)
        start += self._content[start : start + 1].isspace() and not token.content[:1].isspace()
        stop = start + len(token.content)
        code = TracedText()
        code.copy(self._placed, start, stop)
        self._join(token.content)
        say_code(code, self._text)
        self._text.close(self._placed.end_of(self._content.find(token.markup, stop) + len(token.markup)))

    def _image(self, token: Token, at: int, to: int) -> None:
        alt = " ".join("".join(child.content for child in token.children or ()).split())
        self._replaced(f"Image: {alt}" if alt else "", at, to)

    def _tag(self, tag: str, at: int) -> None:
        name = html_text.tag_name(tag)
        if html_text.is_inline(name):
            return
        if html_text.is_known(name):
            self.hard_break(at)
        elif name and not tag.startswith("</") and not any(map(str.isspace, tag)):
            space = " " if self._text.last.isalnum() else ""
            self._replaced(space + tag[1:-1].rstrip("/").replace("-", " "), at, at + len(tag))

    def _space(self, at: int, to: int) -> None:
        if "\n" in self._content[at:to]:
            self._break_at = at
        elif self._text.last not in ("", " ", "\n"):
            self._replaced(" ", at, to)

    def _join(self, text: str) -> None:
        """Put what a line end in the source is said as before ``text``: a space, a new line, or nothing."""
        at = self._break_at
        if at < 0 or not text:
            return
        self._break_at = -1
        if not self._text or self._text.last in " \n":
            return
        place = self._placed.start_of(at)
        self._text.add(_joint(self._text.last, text[0]), place, place + 1)


def _joint(before: str, after: str) -> str:
    """How two lines of one paragraph are joined."""
    if before in _LINE_ENDINGS:
        return "\n"
    return "" if _is_wide(before) and _is_wide(after) else " "


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def shown(children: Sequence[Token]) -> Iterator[Token]:
    """The children that are read: no scripts and styles, no pairs of tags unknown to HTML, no footnote marks."""
    closings = {
        html_text.tag_name(child.content): index
        for index, child in enumerate(children)
        if child.type == "html_inline" and child.content.startswith("</")
    }
    hidden_until = -1
    for index, child in enumerate(children):
        if index <= hidden_until:
            continue
        if child.type == "html_inline":
            name = html_text.tag_name(child.content)
            paired = closings.get(name, -1) > index
            if paired and html_text.is_hidden(name):
                hidden_until = closings[name]
            if paired and (html_text.is_hidden(name) or not html_text.is_known(name)):
                continue
        if child.content.startswith("^") and index and children[index - 1].type == "link_open":
            continue
        yield child


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
