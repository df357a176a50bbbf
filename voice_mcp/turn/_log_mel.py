"""What Whisper's encoder sees of a sound: how strong each of 80 bands of pitch is, a hundred times a second, in numpy.

    8 s, levelled ─▶ 801 spectra of 25 ms, the last left out ─▶ 80 bands (mel) ─▶ logarithm, 80 dB at most ─▶ (80, 800)

The bands are those of Slaney's auditory toolbox: of equal width up to 1 kHz, of equal ratio above, and each of them as
strong as it is narrow. They overlap by halves.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

RATE_HZ = 16_000
SPECTRUM_FRAMES = 400
HOP_FRAMES = 160
BANDS = 80

_LINEAR_HZ = 200 / 3
"""The width of a mel up to ``_KNEE_HZ``."""
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ
_RATIO = math.log(6.4) / 27
"""The logarithm of the ratio between two mels above it."""
_LEAST_POWER = 1e-10
_LEAST_VARIANCE = 1e-7
_RANGE = 8.0
"""Tens of decibels below the strongest band, under which all is equally silent."""

Floats = NDArray[np.float32]


class LogMel:
    """The front end, with its window and its bands computed once."""

    def __init__(self) -> None:
        turn = 2 * np.pi / SPECTRUM_FRAMES * np.arange(SPECTRUM_FRAMES)
        self._window = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
        self.bands = _bands()
        """How much of each frequency belongs to each band; shape (80, 201)."""

    def of(self, sound: Floats) -> Floats:
        """The bands of ``sound`` (16 kHz, whole hops); shape (80, hops), most values between -1 and 1.

        The level makes no difference: the sound is brought to a mean of 0 and a variance of 1 first.
        """
        levelled = (sound - sound.mean()) / np.sqrt(sound.var() + _LEAST_VARIANCE)
        edge = SPECTRUM_FRAMES // 2
        mirrored = np.pad(levelled, edge, mode="reflect")
        windows = sliding_window_view(mirrored, SPECTRUM_FRAMES)[: len(sound) // HOP_FRAMES * HOP_FRAMES : HOP_FRAMES]
        spectra = np.fft.rfft(windows * self._window)
        power = spectra.real**2 + spectra.imag**2
        strength = np.log10(np.maximum(self.bands @ power.T, _LEAST_POWER))
        np.maximum(strength, strength.max() - _RANGE, out=strength)
        return np.asarray(strength / 4 + 1, np.float32)


def _bands() -> Floats:
    """How much of each frequency belongs to each band; shape (80, 201)."""
    highest_mel = _KNEE_MEL + math.log(RATE_HZ / 2 / _KNEE_HZ) / _RATIO
    corners_hz = _hz(np.linspace(0.0, highest_mel, BANDS + 2))
    low_hz, peak_hz, high_hz = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    frequency_hz = np.linspace(0.0, RATE_HZ / 2, SPECTRUM_FRAMES // 2 + 1)
    rising = (frequency_hz - low_hz) / (peak_hz - low_hz)
    falling = (high_hz - frequency_hz) / (high_hz - peak_hz)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2 / (high_hz - low_hz))).astype(np.float32)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HZ * np.exp((mel - _KNEE_MEL) * _RATIO)
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)
