"""Something for a device to pull from, without a player behind it."""

from __future__ import annotations

import threading
import time
from collections import deque


class CountingSource:
    """Gives each byte of each block the block's number, and remembers what was asked for.

    Args:
        enough: After how many blocks ``had_enough`` is set.
    """

    def __init__(self, enough: int = 1) -> None:
        self.enough = enough
        self.had_enough = threading.Event()
        self.is_lost = threading.Event()
        self.reason = ""
        self.asked_bytes: list[int] = []
        self.asked_at_s: list[float] = []
        self.waiting: deque[bytes] = deque()
        """What ``take`` gives, block by block."""

    def render(self, out: memoryview) -> None:
        self._note(len(out))
        out[:] = bytes([len(self.asked_bytes) % 256]) * len(out)

    def take(self, most_bytes: int, timeout_s: float) -> bytes:
        self._note(most_bytes)
        if self.waiting:
            return self.waiting.popleft()
        self.is_lost.wait(timeout_s)
        return b""

    def underflow(self) -> None:
        """No device here tells of one."""

    def lost(self, reason: str) -> None:
        self.reason = reason
        self.is_lost.set()

    def _note(self, size_bytes: int) -> None:
        self.asked_at_s.append(time.perf_counter())
        self.asked_bytes.append(size_bytes)
        if len(self.asked_bytes) >= self.enough:
            self.had_enough.set()
