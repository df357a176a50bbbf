"""Sound as pocketsphinx likes it: at one level, and never quite silent. Imports numpy: load it lazily.

Its features are logarithms of energy, so digital silence, which no microphone gives and every synthesiser does, is a
hole without bottom that drags all averages with it. A little noise, far below the speech, fills it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_mcp.types import LISTENING_FORMAT

BLOCK_FRAMES = LISTENING_FORMAT.frames_in(0.01)
"""What pocketsphinx calls a frame: 10 ms."""
LOUDEST_RMS = 5000.0
"""What the loudest 0.1 s of the beginning is brought to: -16 dBFS."""
NOISE_RMS = 200.0
"""28 dB below that. Half of it measures the same; without it a third of the words is lost."""
MOST_GAIN = 20.0
"""A silent room stays silent."""
SOUNDING_RMS = 700.0
"""17 dB below the loudest: what is louder than this is somebody speaking, or something as loud."""


class Conditioner:
    """Makes frames ready, and remembers where there was sound; for one stretch of it.

    The same frames always come out the same, however they were cut: the noise is drawn from a fixed seed.

    Args:
        beginning: The first frames, which the level is taken from; they are to be given to ``condition`` like all.
    """

    def __init__(self, beginning: bytes) -> None:
        self._gain = _gain(np.frombuffer(beginning, dtype="<i2").astype(np.float64))
        self._dice = np.random.default_rng(1)
        self._levels: list[NDArray[np.float64]] = []

    def condition(self, frames: bytes) -> bytes:
        """The next frames, at their level and with their noise."""
        samples = np.frombuffer(frames, dtype="<i2") * self._gain
        self._levels.append(_block_rms(samples, BLOCK_FRAMES))
        noise = self._dice.standard_normal(len(samples)) * NOISE_RMS
        return np.clip(np.rint(samples + noise), -32768, 32767).astype("<i2").tobytes()

    def sounding_outside(self, covered: list[tuple[int, int]]) -> float:
        """Seconds of sound outside the given stretches (first and last block of each)."""
        sounding = np.concatenate(self._levels) > SOUNDING_RMS if self._levels else np.zeros(0, dtype=bool)
        for first, last in covered:
            sounding[first : last + 1] = False
        return float(np.count_nonzero(sounding)) * BLOCK_FRAMES / LISTENING_FORMAT.rate_hz


def _gain(samples: NDArray[np.float64]) -> float:
    loudest = float(_block_rms(samples, 10 * BLOCK_FRAMES).max(initial=0.0))
    return min(MOST_GAIN, LOUDEST_RMS / max(loudest, 1.0))


def _block_rms(samples: NDArray[np.float64], block_frames: int) -> NDArray[np.float64]:
    """The level of each whole block."""
    whole = samples[: len(samples) // block_frames * block_frames].reshape(-1, block_frames)
    levels: NDArray[np.float64] = np.sqrt(np.mean(whole**2, axis=1))
    return levels
