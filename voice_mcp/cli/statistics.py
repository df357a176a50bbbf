"""The figures of a stretch of days, by engine and by day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from voice_mcp.cli.spoken_log import Told
from voice_mcp.cli.tally import Tally


@dataclass(frozen=True, slots=True)
class Step:
    """Some days in a row, both ends included."""

    first: date
    last: date


class Statistics:
    """Tallies for each engine on each day.

    Args:
        first: The first day.
        last: The last one, included.
    """

    def __init__(self, first: date, last: date) -> None:
        self.first, self.last = first, last
        self._cells: dict[tuple[str, date], Tally] = {}
        self._others: str | None = None

    def take(self, told: Iterable[Told]) -> None:
        """Count what lies in these days."""
        for each in told:
            if self.first <= each.day <= self.last:
                self._cells.setdefault((each.engine, each.day), Tally()).add(each.tally)

    def only(self, engine: str) -> Statistics:
        """The same of one engine."""
        chosen = Statistics(self.first, self.last)
        chosen._cells = {key: tally for key, tally in self._cells.items() if key[0] == engine}
        return chosen

    def lumped(self, most: int) -> Statistics:
        """The same, in which no more than ``most`` engines keep their names: who said least is among the others."""
        rest = self.engines[most:]
        if len(rest) < 2:  # one alone needs no more room under its own name
            return self
        chosen = Statistics(self.first, self.last)
        chosen._others = f"{len(rest)} others"
        for (engine, day), tally in self._cells.items():
            name = chosen._others if engine in rest else engine
            chosen._cells.setdefault((name, day), Tally()).add(tally)
        return chosen

    @property
    def length_days(self) -> int:
        """How many days there are, with speech or without."""
        return (self.last - self.first).days + 1

    @property
    def engines(self) -> list[str]:
        """Those there is something to tell of; who said most comes first, and last what ``lumped`` put together."""
        tallies = {engine: self.tally(engine) for engine, _ in self._cells}
        return sorted(tallies, key=lambda engine: (engine == self._others, -tallies[engine].utterances, engine))

    @property
    def days(self) -> list[date]:
        """Those there is something to tell of, in order."""
        return sorted({day for _, day in self._cells})

    def tally(self, engine: str | None = None, first: date | None = None, last: date | None = None) -> Tally:
        """Of one engine or of all, from ``first`` to ``last`` or of all days."""
        start, end = first or self.first, last or self.last
        whole = Tally()
        for (name, day), tally in self._cells.items():
            if engine in (None, name) and start <= day <= end:
                whole.add(tally)
        return whole

    def step_days(self, most: int) -> int:
        """How many days a step needs, so that there are no more than ``most``."""
        return -(-self.length_days // most)

    def steps(self, most: int) -> list[Step]:
        """The days one by one, or by several where there are more than ``most``; the first step may be shorter."""
        days = self.step_days(most)
        ends = [self.last - timedelta(back) for back in range(0, self.length_days, days)]
        return [Step(max(self.first, end - timedelta(days - 1)), end) for end in reversed(ends)]

    def of_step(self, step: Step, engine: str | None = None) -> Tally:
        """Of one engine or of all."""
        return self.tally(engine, step.first, step.last)
