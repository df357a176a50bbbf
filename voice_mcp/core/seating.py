"""Where each conversation sits in the room, from left to right."""

from __future__ import annotations

import zlib
from typing import Literal

SEATS = (-0.7, 0.7, -0.35, 0.35, 0.0)
"""Far enough apart to be told from each other with two loudspeakers; the outer ones are taken first."""


class Seating:
    """Gives each conversation its place.

    Args:
        pan: One place for all, from -1 (left) to 1 (right), or ``auto``: a place for each.
    """

    def __init__(self, pan: float | Literal["auto"] = 0.0) -> None:
        self._pan = pan
        self._taken: dict[str, int] = {}

    def pan(self, conversation_id: str) -> float:
        """Where this conversation sits. The same in every process, unless another one was there first in this one."""
        if self._pan != "auto":
            return self._pan
        seat = self._taken.pop(conversation_id, None)
        if seat is None:
            seat = self._free_seat(zlib.crc32(conversation_id.encode()) % len(SEATS))
        self._taken[conversation_id] = seat  # the newest is last
        return SEATS[seat]

    def reserve(self, conversation_id: str, seat: int) -> None:
        """This conversation sits there, whoever sat there before."""
        self._taken = {other: taken for other, taken in self._taken.items() if taken != seat}
        self._taken[conversation_id] = seat

    def _free_seat(self, wanted: int) -> int:
        while len(self._taken) >= len(SEATS):
            self._taken.pop(next(iter(self._taken)))  # whoever has been silent for longest gives up his seat
        free = (seat % len(SEATS) for seat in range(wanted, wanted + len(SEATS)))
        return next(seat for seat in free if seat not in self._taken.values())
