"""A figure, its bar, and how both are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured."""

    what: str
    measured: float
    unit: str
    bar: float | None = None
    """The most it may be; None where there is nothing to compare with."""
    detail: str = ""

    @property
    def verdict(self) -> str:
        """Whether it is within its bar."""
        if self.bar is None:
            return ""
        return "ok" if self.measured <= self.bar else "MISSED"


def quantile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def median(values: Iterable[float]) -> float:
    """The middle of ``values``."""
    return quantile(values, 0.5)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, aligned for the terminal."""
    rows = [("figure", "measured", "bar", "", "how")]
    for figure in figures:
        bar = f"≤ {figure.bar:g} {figure.unit}" if figure.bar is not None else ""
        rows.append((figure.what, f"{figure.measured:.4g} {figure.unit}", bar, figure.verdict, figure.detail))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
