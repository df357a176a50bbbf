"""Short, soft signals: now I listen, I have heard you, that went wrong. Computed, so that nothing has to be shipped."""

from __future__ import annotations

import math
from array import array
from enum import Enum
from functools import cache

from voice_mcp.types import PcmFormat

CHIME_FORMAT = PcmFormat(24_000, 1)
PEAK_DB = -22.0
"""Softer than speech, and far from being taken for it."""
ATTACK_S = 0.008
"""No click at the beginning."""


class Chime(Enum):
    """What a signal says; its value: the notes, as frequency in Hz and length in seconds."""

    LISTENING = ((587.33, 0.07), (880.0, 0.11))
    """Up: it is your turn."""
    DONE = ((880.0, 0.07), (587.33, 0.11))
    """Down: I have heard you."""
    FAILED = ((311.13, 0.09), (311.13, 0.14))
    """Twice low: that could not be understood."""

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return sum(length_s for _, length_s in self.value)


@cache
def chime_frames(chime: Chime) -> bytes:
    """The frames of a chime, in ``CHIME_FORMAT``."""
    samples = array("h")
    for frequency_hz, length_s in chime.value:
        samples.extend(_note(frequency_hz, CHIME_FORMAT.frames_in(length_s)))
    return samples.tobytes()


def _note(frequency_hz: float, frames: int) -> array[int]:
    """A struck note: it comes at once and dies away to nothing."""
    peak = 32_767 * 10 ** (PEAK_DB / 20)
    step = 2 * math.pi * frequency_hz / CHIME_FORMAT.rate_hz
    attack_frames = CHIME_FORMAT.frames_in(ATTACK_S)
    return array(
        "h",
        (
            round(peak * min(1.0, index / attack_frames) * (1 - index / frames) ** 2 * math.sin(step * index))
            for index in range(frames)
        ),
    )
