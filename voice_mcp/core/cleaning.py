"""Removes from a message what is neither read nor heard, before anything looks at its Markdown."""

from __future__ import annotations

import re

from voice_mcp.core.tracing import TracedText

_LINE_END = r"(?P<line_end>\r\n?|[\x85\u2028\u2029])"
# CSI and OSC sequences of ECMA-48, then any other escape. An OSC that is never ended stops at its line's end.
_TERMINAL = r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?|\x1b\][^\x07\x1b\n]*+(?:\x07|\x1b\\)?|\x1b[@-_]?"
_SPACE = r"(?P<space>[\v\f])"
_CONTROL = r"[\x00-\x08\x0e-\x1f\x7f-\x9f]"
# Soft hyphen, zero-width and direction marks, private use, half of a character. The joiners U+200C and U+200D stay:
# they change how Persian and Indic words read.
_INVISIBLE = (
    r"[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufeff\ufff0-\uffff]"
)
_ODD = f"{_LINE_END}|{_SPACE}|{_TERMINAL}|{_CONTROL}|{_INVISIBLE}"


def clean(message: str) -> TracedText:
    """The message with line feeds as its only line ends, and no controls, terminal colours or broken characters."""
    cleaned = TracedText()
    kept = 0
    # Patterns are handed to `re` as text, which compiles them at first use and keeps them: an import costs nothing.
    for odd in re.finditer(_ODD, message):
        cleaned.add(message[kept : odd.start()], kept, odd.start())
        if odd["line_end"]:
            cleaned.add("\n", *odd.span())
        elif odd["space"]:
            cleaned.add(" ", *odd.span())
        kept = odd.end()
    cleaned.add(message[kept:], kept, len(message))
    return cleaned
