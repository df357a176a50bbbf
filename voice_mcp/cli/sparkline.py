"""A row of numbers as a row of blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

BLOCKS, NO_VALUE = "▁▂▃▄▅▆▇█", "·"
DIGITS, NO_DIGIT = "12345678", "."
"""What stands for them where there are no blocks."""


def sparkline(values: Sequence[float | None], *, blocks: bool = True) -> str:
    """One character a value, as high as its share of the greatest one: from zero, so that small changes look small."""
    levels, nothing = (BLOCKS, NO_VALUE) if blocks else (DIGITS, NO_DIGIT)
    greatest = max((value for value in values if value is not None), default=0.0)
    return "".join(nothing if value is None else levels[_level(value, greatest, len(levels))] for value in values)


def can_show_blocks(console: Console) -> bool:
    """Whether blocks can be printed there; a Windows pipe, LC_ALL=C and a dumb terminal cannot."""
    try:
        (BLOCKS + NO_VALUE).encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return not console.is_dumb_terminal


def _level(value: float, greatest: float, count: int) -> int:
    return max(0, math.ceil(value / greatest * count) - 1) if greatest else 0
