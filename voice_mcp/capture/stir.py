"""Whether something stirs in the room. Pure: frames in.

Nobody is recognised by this, and nothing is decided: what stirs is handed on sooner, what does not in larger pieces. A
room is quiet most of the time, and to be woken for it costs a processor more than to look at it.
"""

from __future__ import annotations

import math
from array import array

from voice_mcp.types import PcmFormat

LOUDER = 3
"""What stirs is louder than the quiet by this factor: 10 dB."""
SOFTEST = 32
"""Of 32,767: what is softer than this (-60 dBFS) is no voice that anybody could make out."""
STAYS_S = 2.5
"""For so long after it something still stirs: whoever has just stopped may be through, and waits for an answer."""
RISES = 0.3
"""The quiet is what was softest lately: by this share of itself it rises every second."""
EVERY = 15
"""One sample of so many is looked at, which is enough for a level. Odd: of two channels, one after the other."""


class Stir:
    """Follows one microphone, block by block. Everything stirs until there was quiet."""

    def __init__(self) -> None:
        self._quiet = math.inf
        self._stays_s = STAYS_S

    @property
    def is_there(self) -> bool:
        """Whether something stirs, or did lately."""
        return self._stays_s > 0

    def add(self, frames: bytes, fmt: PcmFormat) -> None:
        """Take the next block.

        Args:
            frames: int16 in the machine's order, any length.
            fmt: Their shape.
        """
        samples = array("h", frames)[::EVERY]
        if not samples:
            return
        duration_s = fmt.seconds(fmt.frames(len(frames)))
        peak = max(max(samples), -min(samples))
        self._quiet = max(1.0, min(peak, self._quiet * (1 + RISES * duration_s)))
        if peak > max(SOFTEST, LOUDER * self._quiet):
            self._stays_s = STAYS_S
        else:
            self._stays_s -= duration_s
