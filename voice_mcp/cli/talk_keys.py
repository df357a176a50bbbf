"""What keys mean in a conversation.

A terminal tells that a key is pressed, and repeats it while it is held; that it is let go it does not tell.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from voice_mcp.cli.keyboard import Key
from voice_mcp.core.conversing import Conversing

RELEASE_S = 0.3
"""A key that is held repeats sooner than this, also over a slow connection: when it does not, it was let go."""
FIRST_REPEAT_S = 1.0
"""The first repetition of a key that is held comes by then."""


class TalkKeys:
    """Space begins a turn and ends it, Enter ends it, Esc ends everything.

    By hand a turn ends a moment after the last press, whether that was the second tap or the last repetition of a key
    that was held. Otherwise a space ends it at once, if it is not the repetition of the one that cut the message short.

    Args:
        conversing: With whom.
        by_hand: Whether nothing but keys begins and ends turns.
        stop: Ends everything.
    """

    def __init__(self, conversing: Conversing, *, by_hand: bool, stop: Callable[[], None]) -> None:
        self._conversing = conversing
        self._by_hand = by_hand
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._pressed_s = -math.inf
        self._release: asyncio.TimerHandle | None = None

    def take(self, key: Key) -> None:
        """A key was pressed."""
        match key:
            case Key.SPACE:
                self._space()
            case Key.ENTER:
                self._conversing.finish()
            case Key.ESCAPE:
                self._stop()

    def _space(self) -> None:
        before_s, self._pressed_s = self._pressed_s, self._loop.time()
        if self._release is not None:
            self._release.cancel()
        if self._conversing.begin_turn():
            return
        if self._by_hand:
            self._release = self._loop.call_later(RELEASE_S, self._conversing.finish)
        elif self._pressed_s - before_s > FIRST_REPEAT_S:
            self._conversing.finish()
