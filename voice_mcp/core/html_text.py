"""The text of a piece of HTML, without its tags.

``html.parser`` is not used: it takes time with the square of the input for tags that never end (14 s for 40 kB of
``<a `` on Python 3.11), differs between patch releases, and does not say where a tag ends. Speech needs no tree, only
to know what is a tag and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

_HIDDEN = frozenset({"script", "style"})
# Names between spaces.
_INLINE = (
    " a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q rp rt ruby s samp "
    "small span strike strong sub sup time tt u var wbr "
)
_BLOCK = (
    " address article aside audio base blockquote body br button canvas caption center col colgroup dd details "
    "dialog dir div dl dt embed fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html "
    "iframe input legend li link main menu meta nav noscript object ol optgroup option output p param picture "
    "pre progress script search section select source style summary svg table tbody td template textarea tfoot "
    "th thead title tr track ul video "
)


class Kind(Enum):
    """What a stretch of HTML is."""

    TEXT = auto()
    BREAK = auto()
    """A tag that begins or ends something of its own: a paragraph, a cell, a line."""


class Stretch(NamedTuple):
    """Characters ``start`` to ``end`` of the HTML."""

    kind: Kind
    start: int
    end: int


def stretches(html: str) -> Iterator[Stretch]:
    """What is to be read of ``html``, in order. Takes time in proportion to its length."""
    ends = _Ends(html)
    text_start = at = 0
    while (at := html.find("<", at)) >= 0:
        end = _markup_end(html, at, ends)
        if end < 0:
            at += 1
            continue
        if at > text_start:
            yield Stretch(Kind.TEXT, text_start, at)
        if not is_inline(tag_name(html[at:end])):
            yield Stretch(Kind.BREAK, at, end)
        text_start = at = end
    if text_start < len(html):
        yield Stretch(Kind.TEXT, text_start, len(html))


def tag_name(tag: str) -> str:
    """``div`` of ``<div class="x">`` and of ``</div>``; empty for comments and the like."""
    end = start = 2 if tag.startswith("</") else 1
    while end < len(tag) and (tag[end].isalnum() or tag[end] in "-_:"):
        end += 1
    return tag[start:end].lower()


def is_known(name: str) -> bool:
    """Whether HTML has such a tag; others are most likely placeholders, like ``<your-name>``."""
    return f" {name} " in _INLINE or f" {name} " in _BLOCK


def is_inline(name: str) -> bool:
    """Whether such a tag stands inside a sentence."""
    return not name or f" {name} " in _INLINE


def is_hidden(name: str) -> bool:
    """Whether what such a tag holds is never shown."""
    return name in _HIDDEN


class _Ends:
    """Finds what ends a markup, and remembers what is not there, so that no search runs to the end twice."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._folded = html.lower() if len(html.lower()) == len(html) else html
        self._missing: set[str] = set()

    def after(self, needle: str, at: int) -> int:
        """Offset behind the next ``needle`` (in lower case) from ``at`` on; -1 when there is none."""
        if needle in self._missing:
            return -1
        found = self._folded.find(needle, at)
        if found < 0:
            self._missing.add(needle)
            return -1
        return found + len(needle)


def _markup_end(html: str, at: int, ends: _Ends) -> int:
    """Offset behind the markup that begins at ``at``, with the content of what is hidden; -1 when it is mere text."""
    if html.startswith("<!--", at):
        return ends.after("-->", at)
    following = html[at + 1 : at + 3]
    if following[:1] in ("!", "?"):
        return ends.after(">", at)
    if not following.lstrip("/")[:1].isalpha():
        return -1
    end = ends.after(">", at)
    name = tag_name(html[at : at + 8])
    if end < 0 or not is_hidden(name) or following.startswith("/"):
        return end
    closing = ends.after(f"</{name}", end)
    return end if closing < 0 else ends.after(">", closing)
