"""What is said over which network, and what somebody made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from benchmarks.figures import median
from benchmarks.takes import RATE_HZ, Take
from tests.support.behaviour import Behaviour
from tests.support.pattern import pattern
from tests.support.weather import Profile

PACE = 2.0
"""Times real time at which the endpoint sends, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Messages over a network."""

    name: str
    profile: Profile
    messages: int
    peer_messages: int
    """The peer says fewer, so that all of it does not take half an hour."""
    text: str
    audio_bytes: int | None = None
    """Of each answer; None: as long as its text takes to speak."""
    pace: float = PACE
    busy: bool = False

    def behaviour(self) -> Behaviour:
        """How the endpoint answers."""
        if self.audio_bytes is None:
            return Behaviour(pace=self.pace)
        return Behaviour(audio=pattern(self.audio_bytes // 2, seed=1), pace=self.pace)


@dataclass(slots=True)
class Result:
    """What somebody made of a scenario."""

    takes: list[Take] = field(default_factory=list)
    first_frames_s: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def failed(self) -> int:
        return sum(take.failed for take in self.takes)

    @property
    def gaps(self) -> int:
        return sum(take.gaps for take in self.takes)

    @property
    def missing_s(self) -> float:
        return sum(take.missing_frames for take in self.takes) / RATE_HZ

    @property
    def repeated_s(self) -> float:
        return sum(take.verdict.repeated for take in self.takes) / RATE_HZ

    @property
    def wrong_frames(self) -> int:
        return sum(take.missing_frames + take.verdict.repeated for take in self.takes)

    @property
    def altered_frames(self) -> int:
        return sum(take.verdict.altered for take in self.takes)

    @property
    def dead_air_s(self) -> float:
        return max((take.dead_air_s for take in self.takes), default=0.0)

    @property
    def uncounted(self) -> int:
        """Gaps that were not reported, or reported and not there; every one where nothing is reported."""
        return sum(abs(take.gaps - (take.reported_gaps or 0)) for take in self.takes)

    @property
    def start_s(self) -> float:
        """From the first byte to the first sound, median."""
        starts = [take.sound_after_s for take in self.takes if take.sound_after_s is not None]
        return median(starts) if starts else float("nan")

    @property
    def gaps_a_minute(self) -> float:
        """The most that began within any minute of listening."""
        if not self.takes:
            return math.inf
        begins = [[gap.captured_frame / RATE_HZ for gap in take.verdict.gaps] for take in self.takes]
        return max((sum(0 <= other - one < 60 for other in take) for take in begins for one in take), default=0)

    @property
    def lost(self) -> str:
        """What is missing and what came twice, in words."""
        return f"{self.missing_s:.2f} s missing, {self.repeated_s:.2f} s repeated"

    def bar(self, value: float) -> float:
        """The value, unless a message failed: what was not said has no gaps, and that is no merit."""
        return math.inf if self.failed or self.problem is not None else value

    def __str__(self) -> str:
        if self.problem is not None:
            return self.problem
        told = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.gaps} gaps in {len(self.takes)} messages{told}, {self.lost}, "
            f"longest silence {self.dead_air_s:.2f} s, start {1000 * self.start_s:.0f} ms"
        )
