"""How long, and how often, a device is waited for. Pure: it is told the time."""

from __future__ import annotations

RETRY_S = 0.5
"""How often a device that is waited for is tried."""


class Patience:
    """Every loss starts a wait of its own, unless nothing was heard since the one before: that one goes on.

    Args:
        wait_s: How long a device is waited for; 0 waits for none.
        now_s: The time, in seconds.
    """

    def __init__(self, wait_s: float, now_s: float) -> None:
        self._wait_s = wait_s
        self._until_s = now_s + wait_s
        self._tried_s = self._next_s = now_s
        self._lost_at_frame: int | None = None

    def allows_loss_at(self, frame: int, now_s: float) -> bool:
        """The device is gone, with ``frame`` frames heard; whether another is to be looked for."""
        has_come_on = self._lost_at_frame is None or frame > self._lost_at_frame
        self._lost_at_frame = frame
        if has_come_on:
            self._until_s, self._next_s = now_s + self._wait_s, now_s
        else:
            self.failed(now_s)
        return self.lasts(now_s)

    def lasts(self, now_s: float) -> bool:
        """Whether another try is due some time."""
        return now_s < self._until_s

    def failed(self, now_s: float) -> None:
        """A try has failed."""
        self._next_s = min(max(now_s, self._tried_s + RETRY_S), self._until_s)

    def pause_s(self, now_s: float) -> float:
        """How long to wait before the next try, which then is made."""
        pause_s = max(0.0, self._next_s - now_s)
        self._tried_s = now_s + pause_s
        return pause_s
