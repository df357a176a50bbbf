"""A bound for every wait on the audio process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STEPS = 4
"""In how many steps a limit is waited for."""


class Watch:
    """Says when the other side has been silent for too long.

    The limit is waited for in steps: a server that was itself held up, or stopped and continued with its whole group,
    finds one step over and not the limit, and reads what has come in before it judges.

    Args:
        on_silence: Called once when a limit is over.
    """

    def __init__(self, on_silence: Callable[[], None]) -> None:
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle | None = None
        self._step_s = 0.0
        self._steps_left = 0
        self._again = False

    def expect_within(self, limit_s: float, *, again: bool = False) -> None:
        """Expect something within ``limit_s`` seconds, or, with ``again``, a sign of life at least so often."""
        self.cancel()
        self._step_s, self._steps_left, self._again = limit_s / STEPS, STEPS, again
        self._wait()

    def heard(self) -> None:
        """There was a sign of life."""
        if self._again:
            self._steps_left = STEPS

    def cancel(self) -> None:
        """Expect nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._step_s, self._step)

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left > 0:
            self._wait()
        else:
            self._on_silence()
