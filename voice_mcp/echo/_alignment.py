"""Notices that an echo comes earlier or later than it used to, by how it compares with the one that was expected.

A device that falls silent and speaks again may do so some milliseconds off, and nobody tells. To an adaptive filter
that is another room, which it takes seconds to learn, and all that while the agent hears itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_FRAMES = 2048
"""How much sound is compared: 128 ms."""
MOST_FRAMES = 400
"""How far off an echo is looked for, either way: 25 ms."""

_EVERY_HOPS = 3
_GOOD_POWER = 0.1
"""A filter that leaves so little, of 1, knows the room: only then is what it expects worth comparing with."""
_BAD_POWER = 0.25
"""And when it leaves more than this, something may have moved."""
_SLOWLY = 0.03
_LEAST_MATCH = 0.5
"""How alike both are, of 1, where they are most alike."""
_CLEARLY = 1.25
"""How much more alike than where they are now."""
_LEAST_POWER = 1e-6

Floats = NDArray[np.float32]


class Alignment:
    """One echo, heard and expected."""

    def __init__(self) -> None:
        self._heard = np.zeros(WINDOW_FRAMES, np.float32)
        self._expected = np.zeros(WINDOW_FRAMES, np.float32)
        self._heard_power = self._left_power = 0.0
        self._is_known = False
        self._hops = 0

    def offset(self, heard: Floats, expected: Floats) -> int:
        """Take the next frames of both; return how many frames later the echo comes than expected, 0 if it does not."""
        for line, frames in ((self._heard, heard), (self._expected, expected)):
            line[: -len(frames)] = line[len(frames) :].copy()
            line[-len(frames) :] = frames
        left = heard - expected
        self._heard_power += _SLOWLY * (float(heard @ heard) - self._heard_power)
        self._left_power += _SLOWLY * (float(left @ left) - self._left_power)
        self._is_known = self._is_known or self._left_power < _GOOD_POWER * self._heard_power
        self._hops = (self._hops + 1) % _EVERY_HOPS
        return self._search() if self._is_known and not self._hops and self._is_suspect else 0

    @property
    def _is_suspect(self) -> bool:
        left = self._heard - self._expected
        return float(left @ left) > _BAD_POWER * float(self._heard @ self._heard)

    def _search(self) -> int:
        size = 2 * WINDOW_FRAMES
        spectrum = np.fft.rfft(self._heard, size) * np.conj(np.fft.rfft(self._expected, size))
        match = np.fft.irfft(spectrum)
        near = np.concatenate([match[-MOST_FRAMES:], match[: MOST_FRAMES + 1]])
        best = int(np.argmax(near))
        powers = float(self._heard @ self._heard) * float(self._expected @ self._expected)
        if near[best] < max(_LEAST_MATCH * powers**0.5, _CLEARLY * near[MOST_FRAMES], _LEAST_POWER):
            return 0
        self._expected[:] = 0  # it was that of another place
        return best - MOST_FRAMES
