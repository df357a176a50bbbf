r"""Input that every JSON parser can read: halves of characters are replaced before anybody sees them.

A host that cuts a text in the middle of an emoji sends ``"\ud83d"``, which JSON allows and Unicode does not. The SDK
cannot parse such a line and has no way to answer it, so the host would wait for ever.
"""

from __future__ import annotations

import io
import re
from typing import Protocol

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair, which is fine
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."  # any other escape, so that an escaped backslash is never taken for the start of one
)
_REPLACEMENT = rb"\ufffd"


def repaired(line: bytes) -> bytes:
    r"""A line of JSON with every unpaired surrogate escape replaced by ``\ufffd``."""
    if rb"\u" not in line:
        return line
    return _ESCAPE.sub(lambda match: _REPLACEMENT if match["half"] else match[0], line)


class Lines(Protocol):
    """Anything that gives lines of bytes."""

    def readline(self, size: int = -1, /) -> bytes:
        """The next line; empty at the end."""
        ...


class WellFormedLines(io.RawIOBase):
    """A byte stream that gives another one's lines, repaired.

    Args:
        lines: Where they come from.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._pending:
            self._pending = memoryview(repaired(self._lines.readline()))
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def repair_input(stdin: io.TextIOWrapper) -> io.TextIOWrapper:
    """Standard input as it should be read."""
    return io.TextIOWrapper(io.BufferedReader(WellFormedLines(stdin.buffer)), encoding="utf-8", errors="replace")
