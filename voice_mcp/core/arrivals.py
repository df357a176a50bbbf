"""How the audio of one request comes: how fast, and how unevenly. Pure.

Judged while the sender sets the pace. Once a second of sound is ahead of the ear, the ear does, through what it leaves
unread.
"""

from __future__ import annotations

from dataclasses import dataclass

PACE_LEAST_S = 0.1
"""Seconds of audio that say something of a sender's pace."""
LEAD_S = 1.0
"""So far ahead of the ear nothing more is learnt."""
SHORTEST_S = 1e-4
"""Two arrivals are never closer than this: what comes at once would have an endless pace."""


@dataclass(slots=True)
class Arrivals:
    """The arrivals of one request, told in order."""

    pace: float | None = None
    """Seconds of audio a second, since the first arrival; None while too little has come."""
    reserve_s: float = 0.0
    """Seconds of sound the ear must have had in hand at the worst moment, to hear no gap."""
    _first_s: float | None = None
    _first_at_s: float = 0.0
    _last_s: float = 0.0
    _highest_s: float = 0.0

    def add(self, received_s: float, now_s: float) -> None:
        """So many seconds of audio have come by now, in all."""
        if self._first_s is None:
            self._first_s, self._first_at_s = received_s, now_s
            self._last_s = self._highest_s = received_s
            return
        elapsed_s = now_s - self._first_at_s
        if self._highest_s - self._first_s > LEAD_S:
            return
        # What was there before this arrival is what the ear had to live on until now.
        self.reserve_s = max(self.reserve_s, self._highest_s - (self._last_s - elapsed_s))
        self._last_s = received_s
        self._highest_s = max(self._highest_s, received_s - elapsed_s)
        came_s = received_s - self._first_s
        if came_s >= PACE_LEAST_S:
            self.pace = came_s / max(elapsed_s, SHORTEST_S)
