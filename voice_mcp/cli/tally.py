"""What is counted of utterances, and the figures that are made of it. Pure, without numpy.

A tally of one utterance and a tally of a month are the same thing: tallies are added up, by engine, by day or in all.
Sums take no room; what percentiles are made of takes 8 bytes a number.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from voice_mcp.cli.first_audio import STAGES

PERCENTS = (50, 95, 99)
SECONDS_PER_HOUR = 3600.0

_STRIDE = 1 + len(STAGES)
_HANDFUL = 5
"""How many utterances stand for the median, of many: one alone would be chance."""
_SHARE = 5
"""They are a fifth of all at most: of few, the nearest but one may be far away."""


def _numbers() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Tally:
    """Sums and samples of some utterances."""

    utterances: int = 0
    spoken_s: float = 0.0
    """Seconds that were heard."""
    underruns: int = 0
    inserted_s: float = 0.0
    """Seconds of silence in the gaps."""
    resumes: int = 0
    switches: int = 0
    device_changes: int = 0
    decode_errors: int = 0
    errors: int = 0
    """How often an engine failed with something it was asked to say."""
    failed: int = 0
    """Utterances that were not said to their end because of an error."""
    interrupted: int = 0
    cached: int = 0
    """Utterances that were kept on disk from an earlier time."""
    ttfa_ms: array[float] = field(default_factory=_numbers)
    splits_ms: array[float] = field(default_factory=_numbers)
    """The time to first audio and its stages, one utterance after the other: ``1 + len(STAGES)`` numbers each."""
    paces: array[float] = field(default_factory=_numbers)
    """How fast audio came, times real time."""
    decode_ms_per_s: array[float] = field(default_factory=_numbers)
    buffer_mean_ms: array[float] = field(default_factory=_numbers)
    buffer_least_ms: array[float] = field(default_factory=_numbers)

    def add(self, other: Tally) -> None:
        """Count what ``other`` has counted as well."""
        for each in fields(self):
            own = getattr(self, each.name)
            own += getattr(other, each.name)  # numbers anew, samples in their place
            setattr(self, each.name, own)

    def ttfa_percentile_ms(self, percent: int) -> float | None:
        """See ``percentile``."""
        return percentile(self.ttfa_ms, percent)

    @property
    def median_split(self) -> tuple[float, dict[str, float]] | None:
        """What the median of the time to first audio is made of: milliseconds in all, and of each stage.

        The means over the utterances whose time is nearest to it: one, or of many three or five. So the stages add up
        to the total; medians of the stages would not. None where no utterance has stages.
        """
        median_ms, starts = self.ttfa_percentile_ms(50), range(0, len(self.splits_ms), _STRIDE)
        rows = [self.splits_ms[start : start + _STRIDE] for start in starts]
        if median_ms is None or not rows:
            return None
        pairs = (min(_HANDFUL, len(rows) // _SHARE) - 1) // 2
        middle = sorted(rows, key=lambda row: (abs(row[0] - median_ms), row))[: 1 + 2 * max(0, pairs)]
        total, *stages = (sum(column) / len(middle) for column in zip(*middle, strict=True))
        return total, dict(zip(STAGES, stages, strict=True))

    def per_hour(self, amount: float) -> float | None:
        """``amount`` of this tally for each hour of speech; None without speech."""
        return amount * SECONDS_PER_HOUR / self.spoken_s if self.spoken_s else None

    def record(self) -> dict[str, Any]:
        """Every figure, as ``voice-mcp stats --json`` prints them (docs/statistics.md)."""
        split = self.median_split
        return {
            "utterances": self.utterances,
            "spoken_s": round(self.spoken_s, 3),
            "ttfa_ms": {
                "count": len(self.ttfa_ms),
                **{f"p{percent}": _rounded(self.ttfa_percentile_ms(percent)) for percent in PERCENTS},
            },
            "ttfa_split_ms": None if split is None else {name: _rounded(value) for name, value in split[1].items()},
            "underruns": self.underruns,
            "underruns_per_hour": _rounded(self.per_hour(self.underruns)),
            "inserted_s": round(self.inserted_s, 3),
            "inserted_s_per_hour": _rounded(self.per_hour(self.inserted_s)),
            "buffer_mean_ms": _rounded(percentile(self.buffer_mean_ms, 50)),
            "buffer_least_ms": _rounded(min(self.buffer_least_ms, default=None)),
            "pace": _rounded(percentile(self.paces, 50)),
            "decode_ms_per_s": _rounded(percentile(self.decode_ms_per_s, 50)),
            "decode_errors": self.decode_errors,
            "resumes": self.resumes,
            "switches": self.switches,
            "device_changes": self.device_changes,
            "errors": self.errors,
            "failed": self.failed,
            "interrupted": self.interrupted,
            "cached": self.cached,
        }


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank: the least value that ``percent`` of all do not exceed. Always one that occurred.

    None without values.
    """
    return sorted(values)[rank(len(values), percent) - 1] if values else None


def rank(count: int, percent: int) -> int:
    """Which of ``count`` values in order is the percentile; 1 is the first. In integers, so that nothing is rounded."""
    return max(1, -(-percent * count // 100))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
