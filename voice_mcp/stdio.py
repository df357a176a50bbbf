r"""Standard input and output as MCP needs them: nothing on the output but MCP, and input every JSON parser can read.

A host that cuts a text in the middle of an emoji sends ``"\ud83d"``, which JSON allows and Unicode does not. The SDK
cannot parse such a line and has no way to answer it, so the host would wait for ever: halves of characters are
replaced before anybody sees them. And while the SDK keeps what libraries print off the wire once it serves, what they
print while they are imported is for us to catch.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

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


class WellFormedLines(io.RawIOBase):
    """A byte stream that gives another one's lines, repaired.

    Args:
        read_line: Gives the next line; empty at the end.
    """

    def __init__(self, read_line: Callable[[], bytes]) -> None:
        super().__init__()
        self._read_line = read_line
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._pending:
            self._pending = memoryview(repaired(self._read_line()))
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def repair_input(stdin: io.TextIOWrapper) -> io.TextIOWrapper:
    """Standard input as it should be read."""
    read_line = cast("io.BufferedReader", stdin.buffer).readline
    return io.TextIOWrapper(io.BufferedReader(WellFormedLines(read_line)), encoding="utf-8", errors="replace")


@contextmanager
def output_diverted() -> Iterator[None]:
    """For the length of the block, what anybody writes to standard output goes to standard error.

    Also what was written before and still waits in Python's buffer; native code included.
    """
    wire = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(wire, 1)
        os.close(wire)
