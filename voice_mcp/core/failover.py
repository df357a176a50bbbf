"""Who is asked to speak, in which order, and who is left alone for a while. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.clock import Clock
from voice_mcp.errors import EngineBusy, VoiceError
from voice_mcp.protocols import SpeechEngine

FIRST_REST_S = 30.0
"""How long an engine is left alone after its first failure; doubled for each further one in a row."""
LONGEST_REST_S = 900.0
FAST_PACE, SLOW_PACE = 1.5, 1.2
"""Times real time: from the first on nothing has to be waited for; below the second any hiccup would be a gap."""
USUAL_PREBUFFER_S = 0.04
"""Four periods of the device, for an engine of which nothing is known."""
FAST_PREBUFFER_S = 0.02
MOST_DOUBLINGS = 16
"""Far beyond the longest rest; without a limit the thousandth failure in a row would be too large a number."""


@dataclass(slots=True)
class Health:
    """What is remembered about one engine."""

    failures: int = 0
    """In a row."""
    resting_until_s: float = 0.0
    last_error: VoiceError | None = None
    pace: float | None = None
    """How fast its audio comes, times real time; None while nothing is known."""


class Roster:
    """The engines in order of preference, and how they are doing.

    Args:
        engines: Most wanted first.
        clock: Tells how long an engine has rested.
    """

    def __init__(self, engines: Sequence[SpeechEngine], clock: Clock) -> None:
        self._engines = tuple(engines)
        self._clock = clock
        self._health = {id(engine): Health() for engine in self._engines}

    @property
    def clock(self) -> Clock:
        """What time is told by."""
        return self._clock

    @property
    def engines(self) -> tuple[SpeechEngine, ...]:
        """All of them, most wanted first."""
        return self._engines

    def candidates(self) -> list[SpeechEngine]:
        """Whom to ask, in order: those not resting; and if all are, everybody, because silence is worse."""
        awake = [engine for engine in self._engines if self.rests_for_s(engine) <= 0]
        return awake or list(self._engines)

    def worked(self, engine: SpeechEngine) -> None:
        """It spoke: whatever went wrong is forgotten."""
        self._health[id(engine)] = Health(pace=self._health[id(engine)].pace)

    def came_at(self, engine: SpeechEngine, pace: float) -> None:
        """Its audio came at ``pace`` times real time, this time."""
        health = self._health[id(engine)]
        health.pace = pace if health.pace is None else (health.pace + pace) / 2

    def prebuffer_s(self, engine: SpeechEngine, most_s: float) -> float:
        """Seconds of its audio to collect before sound starts: little for the fast, ``most_s`` for the slow."""
        pace = self._health[id(engine)].pace
        if pace is None or SLOW_PACE <= pace < FAST_PACE:
            return min(USUAL_PREBUFFER_S, most_s)
        return min(FAST_PREBUFFER_S, most_s) if pace >= FAST_PACE else most_s

    def failed(self, engine: SpeechEngine, error: VoiceError) -> None:
        """It did not: leave it alone for a while, and longer each time, or for as long as it asked."""
        health = self._health[id(engine)]
        health.failures += 1
        doublings = min(health.failures - 1, MOST_DOUBLINGS)
        rest_s = min(LONGEST_REST_S, FIRST_REST_S * 2**doublings)
        if isinstance(error, EngineBusy) and error.retry_after_s is not None:
            rest_s = min(LONGEST_REST_S, error.retry_after_s)
        health.resting_until_s = self._clock.now() + rest_s
        health.last_error = error

    def rests_for_s(self, engine: SpeechEngine) -> float:
        """Seconds until it is asked again; 0 when it may be asked now."""
        return max(0.0, self._health[id(engine)].resting_until_s - self._clock.now())

    def last_error(self, engine: SpeechEngine) -> VoiceError | None:
        """Why it rests, if it failed last time."""
        return self._health[id(engine)].last_error
