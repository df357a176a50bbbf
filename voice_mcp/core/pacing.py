"""Who can speak, and how their audio comes: so much of it is collected before sound starts. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.clock import Clock
from voice_mcp.core.failover import FIRST_REST_S, Roster
from voice_mcp.protocols import SpeechEngine

SLOW_PACE = 1.1
"""Times real time: what comes no faster than this never gets ahead, so that any hiccup would be a gap."""
LEAST_PREBUFFER_S = 0.01
"""A period of the device; the player itself waits for as much as the device takes at once."""
RESERVE_FACTOR = 1.25
"""So many times what was needed before is collected: the next call may be a little worse."""
FORGETTING = 0.8
"""The share of a bad memory that is left after a better call."""


@dataclass(slots=True)
class Flow:
    """How the audio of one engine comes, judged by what it sent before."""

    pace: float
    """Times real time."""
    reserve_s: float
    """Seconds of its audio that must be in hand when sound starts."""


class SpeechRoster(Roster[SpeechEngine]):
    """The engines that speak, in order of preference."""

    def __init__(self, engines: Sequence[SpeechEngine], clock: Clock, *, first_rest_s: float = FIRST_REST_S) -> None:
        super().__init__(engines, clock, first_rest_s=first_rest_s)
        self._flows: dict[int, Flow] = {}

    def came(self, engine: SpeechEngine, pace: float, reserve_s: float) -> None:
        """This is how its audio came, this time: at ``pace`` times real time, with so much needed in hand."""
        flow = self._flows.setdefault(id(engine), Flow(pace, 0.0))
        flow.pace = (flow.pace + pace) / 2
        flow.reserve_s = max(reserve_s, flow.reserve_s * FORGETTING)

    def prebuffer_s(self, engine: SpeechEngine, most_s: float) -> float:
        """Seconds of its audio to collect before sound starts: what it needed before, and at most ``most_s``.

        Of an engine on this machine nothing bad is expected; of a server nothing good, before it has been heard.
        """
        flow = self._flows.get(id(engine))
        if flow is None:
            return most_s if engine.is_remote else min(LEAST_PREBUFFER_S, most_s)
        if flow.pace < SLOW_PACE:
            return most_s
        return min(max(LEAST_PREBUFFER_S, RESERVE_FACTOR * flow.reserve_s), most_s)
