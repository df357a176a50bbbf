"""Answers that are words instead of sound: a web page, JSON, an error message."""

from __future__ import annotations

import codecs
import re

HEAD_BYTES = 96
"""Bytes of it that are worth reading."""
SURE_BYTES = 24
"""So many bytes in a row that can all be printed are no sound: by chance once in 10^10."""

_MARKUP = re.compile(r"<(!doctype|html|\?xml|!--)|[{\[]\s*[{\[\"}\]]", re.IGNORECASE)
_TEXT_TYPES = ("text/", "application/json", "application/problem+json", "application/xml", "application/xhtml")
_MOST_WORD_CHARS = 24
_MOST_QUOTED_CHARS = 60


def is_text_type(name: str) -> bool:
    """Whether a Content-Type (lower case) means words."""
    return name.startswith(_TEXT_TYPES)


def printable(head: bytes) -> str | None:
    """The words that ``head`` begins with; None when it holds anything else than words."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head[:HEAD_BYTES])
    except UnicodeDecodeError:
        return None
    text = text.removeprefix("\ufeff").lstrip()
    return text if text and all(char.isprintable() or char in "\r\n\t" for char in text) else None


def is_text(head: bytes) -> bool:
    """Whether a stream that begins like this is words."""
    text = printable(head)
    return text is not None and (len(head) >= SURE_BYTES or _MARKUP.match(text) is not None)


def quoted(head: bytes) -> str:
    """The first words, as an error message may show them; empty when there are none.

    Long words are left out: they are addresses, or keys.
    """
    text = printable(head) or ""
    words = [word if len(word) <= _MOST_WORD_CHARS else "\N{HORIZONTAL ELLIPSIS}" for word in text.split()]
    return " ".join(words)[:_MOST_QUOTED_CHARS].rstrip()
