"""What a network does to the bytes of an answer, and when: pure, seeded, the same for the same seed.

    server ─▶ bucket (rate) ─▶ delay (half a round trip and jitter) ─▶ stall (what TCP makes of a loss) ─▶ client

Every decision belongs to a moment after the request, not to a packet: however the bytes are cut into blocks on their
way, the weather over an answer is the same in every run. Left out, because they show only in the first round trips or
on links that are full: slow start, and queues that grow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from random import Random

SEGMENT_BYTES = 1448
"""The payload of a TCP segment on Ethernet with timestamps."""
JITTER_EVERY_S = 0.02
"""How long a delay lasts before the next is drawn: neighbouring packets share the queues they wait in."""
MEGABIT = 125_000
"""Bytes."""


class FaultKind(Enum):
    """What can befall an answer besides the weather."""

    OUTAGE = auto()
    """Nothing for a while, then all that was held back at once."""
    RESET = auto()
    """The client gets a reset."""
    SILENCE = auto()
    """Half-open: the connection stands, and not a byte comes any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens once in the middle of an answer."""

    kind: FaultKind
    after_bytes: int
    """How much of the answer, head included, has been passed on by then."""
    duration_s: float = math.inf
    """Of an outage."""
    answers: int | None = 1
    """How many answers it happens to, the first ones; None: every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A network."""

    name: str
    rtt_s: float = 0.0
    """Half of it each way; a new connection costs one more."""
    jitter_s: float = 0.0
    """Standard deviation of the delay towards the client. Order is kept, so one late packet makes others late."""
    rate_bytes_per_s: float | None = None
    """Towards the client; None: as fast as this machine."""
    burst_bytes: int = SEGMENT_BYTES
    """What may pass at once after a pause."""
    stall_every_s: float | None = None
    """Mean time from one loss to the next; they come at random. None: nothing is lost."""
    stall_s: tuple[float, float] = (0.0, 0.0)
    """Least and most time until what was lost has been sent again. All that follows waits for it."""
    faults: tuple[Fault, ...] = ()

    def having(self, *faults: Fault) -> Profile:
        """The same network, with these faults."""
        return replace(self, faults=faults)


LAN = Profile(name="LAN", rtt_s=0.0005, jitter_s=0.0001, rate_bytes_per_s=1000 * MEGABIT)
WIFI = Profile(
    name="good Wi-Fi",
    rtt_s=0.02,
    jitter_s=0.004,
    rate_bytes_per_s=50 * MEGABIT,
    stall_every_s=8.0,
    stall_s=(0.04, 0.08),
)
"""At home, a near server: what is lost in the air is sent again by the radio, which takes tens of milliseconds."""
MOBILE_4G = Profile(
    name="4G", rtt_s=0.06, jitter_s=0.025, rate_bytes_per_s=8 * MEGABIT, stall_every_s=4.0, stall_s=(0.15, 0.25)
)
"""Moderate reception: the scheduler and the radio's own repeats make the jitter, a handover or a fade the stall."""
HOTEL = Profile(
    name="hotel", rtt_s=0.12, jitter_s=0.06, rate_bytes_per_s=1.5 * MEGABIT, stall_every_s=5.0, stall_s=(0.25, 0.4)
)
"""Crowded Wi-Fi and a thin line far away. A lost tail shows as a retransmission time-out: 200 ms at least on Linux (RFC
6298 says 1 s), and a round trip or two for the repeat."""
WEATHER = (LAN, WIFI, MOBILE_4G, HOTEL)
"""Figures of the order that is usually reported for such networks, round and chosen; none was measured here."""


def slower_than(bytes_per_s: float, factor: float = 0.9) -> Profile:
    """A server that makes speech more slowly than it is spoken: ``factor`` times ``bytes_per_s``."""
    return replace(LAN, name=f"{factor:g} x", rate_bytes_per_s=factor * bytes_per_s)


def outage(after_bytes: int, duration_s: float = 1.0, on: Profile = LAN) -> Profile:
    """Nothing for a while in the middle of every answer."""
    return replace(on, name="outage").having(Fault(FaultKind.OUTAGE, after_bytes, duration_s, answers=None))


def cut(after_bytes: int, *, answers: int | None = 1, on: Profile = LAN) -> Profile:
    """A reset in the middle of the first answers."""
    return replace(on, name="cut").having(Fault(FaultKind.RESET, after_bytes, answers=answers))


def hang(after_bytes: int, *, answers: int | None = 1, on: Profile = LAN) -> Profile:
    """Silence for ever in the middle of the first answers."""
    return replace(on, name="hang").having(Fault(FaultKind.SILENCE, after_bytes, answers=answers))


@dataclass(slots=True)
class Line:
    """When the bytes of one answer are due at the client. Told the time; asked in the order of the bytes.

    Args:
        profile: The network.
        seed: Another seed, another weather.
        began_s: When the request came; the schedule begins there.
    """

    profile: Profile
    seed: int
    began_s: float
    _jitter: list[float] = field(default_factory=list)
    _stalls: list[tuple[float, float]] = field(default_factory=list)
    _free_s: float = -math.inf
    _last_s: float = -math.inf
    _jitter_dice: Random = field(init=False)
    _stall_dice: Random = field(init=False)

    def __post_init__(self) -> None:
        # Two dice: how far one schedule was asked for must not change the other.
        self._jitter_dice, self._stall_dice = Random(f"jitter {self.seed}"), Random(f"stall {self.seed}")

    def due_s(self, now_s: float, size: int) -> float:
        """When ``size`` bytes that the server sends now have arrived."""
        left_s = self._through_bucket(now_s, size)
        due_s = max(self._last_s, left_s + self._delay_s(left_s))
        self._last_s = self._after_stall(due_s)
        return self._last_s

    def stalls(self, until_s: float) -> list[tuple[float, float]]:
        """From when to when nothing arrives, in seconds after the request, as far as ``until_s`` at least."""
        every_s = self.profile.stall_every_s
        while every_s is not None and (not self._stalls or self._stalls[-1][1] < until_s):
            begin_s = (self._stalls[-1][1] if self._stalls else 0.0) + self._stall_dice.expovariate(1 / every_s)
            self._stalls.append((begin_s, begin_s + self._stall_dice.uniform(*self.profile.stall_s)))
        return self._stalls

    def _through_bucket(self, now_s: float, size: int) -> float:
        """A token bucket, as the moment at which its last byte has passed."""
        rate = self.profile.rate_bytes_per_s
        if rate is None:
            return now_s
        self._free_s = max(self._free_s, now_s - self.profile.burst_bytes / rate) + size / rate
        return max(now_s, self._free_s)

    def _delay_s(self, left_s: float) -> float:
        slot = max(0, math.floor((left_s - self.began_s) / JITTER_EVERY_S))
        while len(self._jitter) <= slot:
            self._jitter.append(self._jitter_dice.gauss(0.0, self.profile.jitter_s))
        return max(0.0, self.profile.rtt_s / 2 + self._jitter[slot])

    def _after_stall(self, due_s: float) -> float:
        moment_s = due_s - self.began_s
        ends = (end for begin, end in self.stalls(moment_s) if begin <= moment_s < end)
        return self.began_s + next(ends, moment_s)
