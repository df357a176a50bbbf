"""Who is asked to speak, in which order, and who is left alone for a while. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voice_mcp.clock import Clock
from voice_mcp.errors import EngineBusy, VoiceError
from voice_mcp.protocols import SpeechEngine

FIRST_REST_S = 30.0
"""How long an engine is left alone after its first failure; doubled for each further one in a row."""
LONGEST_REST_S = 900.0
SLOW_PACE = 1.1
"""Times real time: what comes no faster than this never gets ahead, so that any hiccup would be a gap."""
LEAST_PREBUFFER_S = 0.02
"""Two periods of the device."""
RESERVE_FACTOR = 1.25
"""So many times what was needed before is collected: the next call may be a little worse."""
FORGETTING = 0.8
"""The share of a bad memory that is left after a better call."""
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
    reserve_s: float = 0.0
    """Seconds of its audio that must be in hand when sound starts, judged by what it sent before."""


class Roster:
    """The engines in order of preference, and how they are doing.

    Args:
        engines: Most wanted first.
        clock: Tells how long an engine has rested.
        first_rest_s: How long an engine is left alone after its first failure.
    """

    def __init__(self, engines: Sequence[SpeechEngine], clock: Clock, *, first_rest_s: float = FIRST_REST_S) -> None:
        self._engines = tuple(engines)
        self._clock = clock
        self._first_rest_s = first_rest_s
        self._on_failure: Callable[[SpeechEngine], None] = lambda engine: None
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
        known = self._health[id(engine)]
        self._health[id(engine)] = Health(pace=known.pace, reserve_s=known.reserve_s)

    def came(self, engine: SpeechEngine, pace: float, reserve_s: float) -> None:
        """This is how its audio came, this time: at ``pace`` times real time, with so much needed in hand."""
        health = self._health[id(engine)]
        health.pace = pace if health.pace is None else (health.pace + pace) / 2
        health.reserve_s = max(reserve_s, health.reserve_s * FORGETTING)

    def prebuffer_s(self, engine: SpeechEngine, most_s: float) -> float:
        """Seconds of its audio to collect before sound starts: what it needed before, and at most ``most_s``.

        Of an engine on this machine nothing bad is expected; of a server nothing good, before it has been heard.
        """
        health = self._health[id(engine)]
        if health.pace is None:
            return most_s if engine.is_remote else min(LEAST_PREBUFFER_S, most_s)
        if health.pace < SLOW_PACE:
            return most_s
        return min(max(LEAST_PREBUFFER_S, RESERVE_FACTOR * health.reserve_s), most_s)

    def failed(self, engine: SpeechEngine, error: VoiceError) -> None:
        """It did not: leave it alone for a while, and longer each time, or for as long as it asked."""
        health = self._health[id(engine)]
        health.failures += 1
        doublings = min(health.failures - 1, MOST_DOUBLINGS)
        rest_s = min(LONGEST_REST_S, self._first_rest_s * 2**doublings)
        if isinstance(error, EngineBusy) and error.retry_after_s is not None:
            rest_s = min(LONGEST_REST_S, error.retry_after_s)
        health.resting_until_s = self._clock.now() + rest_s
        health.last_error = error
        self._on_failure(engine)

    def on_failure(self, listener: Callable[[SpeechEngine], None]) -> None:
        """Have ``listener`` told of every failure."""
        self._on_failure = listener

    def wake(self, engine: SpeechEngine) -> None:
        """It may be asked again. Its failures are forgotten when it has spoken, not before."""
        self._health[id(engine)].resting_until_s = self._clock.now()

    def rests_for_s(self, engine: SpeechEngine) -> float:
        """Seconds until it is asked again; 0 when it may be asked now."""
        return max(0.0, self._health[id(engine)].resting_until_s - self._clock.now())

    def last_error(self, engine: SpeechEngine) -> VoiceError | None:
        """Why it rests, if it failed last time."""
        return self._health[id(engine)].last_error
