"""Who is asked, in which order, and who is left alone for a while. Pure but for the clock.

Those who speak and those who listen fail in the same ways, and are treated alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from voice_mcp.clock import Clock
from voice_mcp.errors import EngineBusy, EngineUnreachable, VoiceError

FIRST_REST_S = 30.0
"""How long an engine is left alone after its first failure; doubled for each further one in a row."""
LONGEST_REST_S = 900.0
MOST_DOUBLINGS = 16
"""Far beyond the longest rest; without a limit the thousandth failure in a row would be too large a number."""


class Engine(Protocol):
    """What speaks, or what listens."""

    @property
    def name(self) -> str:
        """What it is called, or the host of an endpoint."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether a server does its work."""
        ...

    async def check(self) -> None:
        """See that it could work, without making it work.

        Raises:
            EngineError: It could not.
        """
        ...


E = TypeVar("E", bound=Engine)


def failure_data(engine: Engine, error: VoiceError) -> dict[str, object]:
    """What the event log is told of a failure; ``sent`` is there, and false, where for certain nothing left."""
    data: dict[str, object] = {"engine": engine.name, "code": error.code, "message": error.message}
    nothing_sent = isinstance(error, EngineUnreachable) and error.nothing_sent
    return data | ({"sent": False} if nothing_sent else {})


@dataclass(slots=True)
class Health:
    """What is remembered about one engine."""

    failures: int = 0
    """In a row."""
    resting_until_s: float = 0.0
    last_error: VoiceError | None = None


class Roster(Generic[E]):
    """The engines in order of preference, and how they are doing.

    Args:
        engines: Most wanted first.
        clock: Tells how long an engine has rested.
        first_rest_s: How long an engine is left alone after its first failure.
    """

    def __init__(self, engines: Sequence[E], clock: Clock, *, first_rest_s: float = FIRST_REST_S) -> None:
        self._engines = tuple(engines)
        self._clock = clock
        self._first_rest_s = first_rest_s
        self._on_failure: Callable[[E], None] = lambda engine: None
        self._health = {id(engine): Health() for engine in self._engines}

    @property
    def clock(self) -> Clock:
        """What time is told by."""
        return self._clock

    @property
    def engines(self) -> tuple[E, ...]:
        """All of them, most wanted first."""
        return self._engines

    def candidates(self) -> list[E]:
        """Whom to ask, in order: those not resting; and if all are, everybody, because silence is worse."""
        awake = [engine for engine in self._engines if self.rests_for_s(engine) <= 0]
        return awake or list(self._engines)

    def worked(self, engine: E) -> None:
        """It did its work: whatever went wrong is forgotten."""
        self._health[id(engine)] = Health()

    def failed(self, engine: E, error: VoiceError) -> None:
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

    def on_failure(self, listener: Callable[[E], None]) -> None:
        """Have ``listener`` told of every failure."""
        self._on_failure = listener

    def wake(self, engine: E) -> None:
        """It may be asked again. Its failures are forgotten when it has worked, not before."""
        self._health[id(engine)].resting_until_s = self._clock.now()

    def rests_for_s(self, engine: E) -> float:
        """Seconds until it is asked again; 0 when it may be asked now."""
        return max(0.0, self._health[id(engine)].resting_until_s - self._clock.now())

    def last_error(self, engine: E) -> VoiceError | None:
        """Why it rests, if it failed last time."""
        return self._health[id(engine)].last_error
