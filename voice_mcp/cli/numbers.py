"""Numbers from records that anybody may have written."""

from __future__ import annotations

MOST = 1e12
"""No count and no time in a record is larger; what is would break the arithmetic of those that are right."""


def number_of(value: object) -> float | None:
    """``value`` when it is a number a record can mean: finite and not negative; otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST else None


def count_of(value: object) -> int:
    """``value`` as a count; 0 when it is none."""
    return int(number_of(value) or 0)


def size_text(size_bytes: int) -> str:
    """A size as a person reads it."""
    if size_bytes >= 1e6:
        return f"{size_bytes / 1e6:.1f} MB"
    return f"{size_bytes / 1000:.1f} kB" if size_bytes >= 1000 else f"{size_bytes} bytes"
