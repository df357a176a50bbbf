"""A room that a process has to itself: nobody else can hear what it says."""

from __future__ import annotations

from collections.abc import Sequence

from voice_mcp.clock import Clock
from voice_mcp.types import Claim, Standing


class OwnRoom:
    """A ``Room`` in memory.

    Args:
        clock: Tells who has waited for long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holder: Claim | None = None

    async def advance(self, waiting: Sequence[Claim]) -> Standing:
        now_s = self._clock.now()
        row = sorted(waiting, key=lambda claim: claim.rank(now_s))
        granted = row.pop(0) if self._holder is None else None
        if granted is not None:
            self._holder = granted
        return Standing(granted, {claim: place + 1 for place, claim in enumerate(row)})

    async def leave(self, claims: Sequence[Claim]) -> None:
        if self._holder in claims:
            self._holder = None
