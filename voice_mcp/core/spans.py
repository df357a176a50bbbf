"""Stretches of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""Where something begins in a text, and where it ends."""


def apart(spans: Iterable[Span]) -> Iterator[Span]:
    """The same stretches in order, those joined that touch, and without empty ones."""
    current: Span | None = None
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if current is not None and start <= current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current


def within(spans: Iterable[Span], start: int, end: int) -> Iterator[Span]:
    """What of ``spans`` lies between ``start`` and ``end``, counted from ``start``."""
    for first, last in spans:
        low, high = max(first, start), min(last, end)
        if low < high:
            yield low - start, high - start
