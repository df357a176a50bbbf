"""The time to first audio, and the stages it is made of."""

from __future__ import annotations

from collections.abc import Mapping

from voice_mcp.cli.numbers import number_of

STAGES = ("text", "queue", "connect", "server", "decode", "prebuffer", "device")
"""In their order: from the call to the ear (docs/statistics.md)."""

_FINE_MS = 10.0
"""Below this a whole millisecond is too coarse."""


def stages_of(split: object) -> dict[str, float] | None:
    """What is recorded as ``ttfa``, in milliseconds; None when not one stage can be read.

    A stage that is not there took no time: a later version may know fewer.
    """
    if not isinstance(split, Mapping):
        return None
    known = {stage: number_of(split.get(f"{stage}_ms")) for stage in STAGES}
    if all(value is None for value in known.values()):
        return None
    return {stage: value or 0.0 for stage, value in known.items()}


def milliseconds_text(value_ms: float) -> str:
    """Whole milliseconds, or tenths where these would be too coarse."""
    return f"{value_ms:.{_decimals(value_ms)}f}"


def stages_text(total_ms: float, stages: Mapping[str, float]) -> str:
    """The stages as a sum, the longest first; what is too short to be shown is left out.

    What the stages do not account for is named, so that they add up to the total, up to rounding.
    """
    decimals = _decimals(total_ms)
    rest_ms = max(0.0, total_ms - sum(stages.values()))
    parts = sorted((*stages.items(), ("other", rest_ms)), key=lambda part: -part[1])
    shown = [(name, f"{value:.{decimals}f}") for name, value in parts]
    return " + ".join(f"{name} {value}" for name, value in shown if float(value))


def _decimals(value_ms: float) -> int:
    return 0 if value_ms >= _FINE_MS else 1
