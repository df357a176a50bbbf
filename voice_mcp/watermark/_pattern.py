"""The mark itself: which cells of the spectrum are a little louder and which a little softer, as a key decides.

Time is cut into cells of 21 ms, the spectrum from 0.7 to 7.5 kHz into 48 bands of 141 Hz. After 128 cells, 2.7 s, it
all begins anew, so any three seconds hold the whole pattern, wherever they begin. Both are counted in seconds and Hz:
a mark that was made at one rate is found at another.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

GRID_HZ = 24_000
"""The rate the pattern is drawn at; others follow it as closely as whole samples allow."""
HOP_FRAMES = 256
"""From one short-time spectrum to the next, at ``GRID_HZ``."""
CELL_HOPS = 2
CELLS = 128
"""Cells before the pattern begins anew."""
BANDS = 48
LOWEST_BIN = 15
BINS_A_BAND = 3
BIN_HZ = GRID_HZ / (2 * HOP_FRAMES)

_VERSION = b"voice-mcp watermark 1\0"

Signs = NDArray[np.float32]


def signs(key: str) -> Signs:
    """What happens to each cell: 1 is louder, -1 softer; of shape (``CELLS``, ``BANDS``).

    Every sign is as likely as the other and independent of all others, for whoever does not know the key.
    """
    bits = hashlib.shake_256(_VERSION + key.encode()).digest(CELLS * BANDS // 8)
    return np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(CELLS, BANDS).astype(np.float32) * 2 - 1


def hop_frames(rate_hz: int) -> int:
    """Frames from one short-time spectrum to the next; each spectrum is of twice as many."""
    return round(HOP_FRAMES * rate_hz / GRID_HZ)


def window(rate_hz: int) -> NDArray[np.float32]:
    """A Hann window over one spectrum: shifted by a hop and added, it makes 1."""
    frames = 2 * hop_frames(rate_hz)
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / frames)).astype(np.float32)


def band_of_bins(rate_hz: int) -> NDArray[np.int64]:
    """The band of each bin of a spectrum at a rate; -1 for those that carry no mark."""
    frames = 2 * hop_frames(rate_hz)
    bins = np.rint(np.arange(frames // 2 + 1) * (rate_hz / frames) / BIN_HZ).astype(np.int64)
    bands = (bins - LOWEST_BIN) // BINS_A_BAND
    return np.where((bands >= 0) & (bands < BANDS), bands, -1)


def whole_bands(rate_hz: int) -> int:
    """How many bands a rate has room for: what is sampled slowly has lost the upper ones."""
    return min(BANDS, int((0.49 * rate_hz / BIN_HZ - LOWEST_BIN) // BINS_A_BAND))
