"""What the page reports, in words a test can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.consumers.stream_server import TONES_HZ, WINDOW_S

_AUDIBLE = 0.1
"""Of full scale, and less than half of what the tones have."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """How one stream was played, and what could be heard of it."""

    ended: bool
    error: str | None
    length_when_heard_s: float
    """How long the browser thought it was when the first sound came; infinite when it said that it does not know."""
    length_s: float
    """The same at the end."""
    position_s: float
    """Where it stood at the end."""
    buffered_s: float | None
    """Media Source Extensions: where the buffered audio ends; NaN when it has gaps."""
    tones_s: tuple[tuple[int, float], ...]
    """Each tone that was heard, and for how many seconds; silence is left out."""

    @property
    def order_hz(self) -> tuple[int, ...]:
        """The tones in the order they were heard."""
        return tuple(hz for hz, _ in self.tones_s)


def hearing(report: Mapping[str, Any]) -> Hearing:
    """What the page tells of one stream."""
    buffered = report.get("buffered_end")
    heard = [hz for levels in report["windows"] if (hz := _loudest(levels)) is not None]
    return Hearing(
        ended=report["ended"],
        error=report["error"],
        length_when_heard_s=float("nan" if report["duration_when_heard"] is None else report["duration_when_heard"]),
        length_s=float(report["duration"]),
        position_s=report["position"],
        buffered_s=None if buffered is None else float(buffered),
        tones_s=tuple((hz, len(list(windows)) * WINDOW_S) for hz, windows in groupby(heard)),
    )


def _loudest(levels: list[float]) -> int | None:
    level, hz = max(zip(levels, TONES_HZ, strict=True))
    return hz if level > _AUDIBLE else None
