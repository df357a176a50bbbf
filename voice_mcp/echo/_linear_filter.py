"""What the loudspeaker's sound becomes on its way to the microphone, learnt and subtracted: an adaptive linear filter.

    played ─▶ 32 spectra, the newest first ─▶ × one response each ─▶ sum ─▶ expected echo
    heard ─────────────────────────────────────────────────────────────────▶ less that ─▶ what is left

A Kalman filter for each frequency, in partitions of 10 ms: it knows how uncertain each of its responses is, and how
loud everything is that it cannot explain, and learns fast from an echo alone and hardly at all while somebody speaks.

Source: Enzner and Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones",
Signal Processing 86 (2006); in partitions as in Kuech, Mabande and Enzner, ICASSP 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_mcp.echo._alignment import Alignment

HOP_FRAMES = 160
"""Frames it takes at a time: 10 ms at 16 kHz."""
PARTITIONS = 32
"""The longest echo it knows, in hops: 320 ms, the delay of the devices included."""

_KEPT = 0.999
"""How much of what was learnt still holds after a hop: rooms change when somebody moves, and so do clocks."""
_FIRST_DOUBT = 0.1
"""How strong an echo is to be expected, of 1 for as strong as what was played, before anything is known."""
_DOUBT_FADES = 10.0 ** (-0.06)
"""An echo is weaker the later it comes: by 60 dB in half a second."""
_MEMORY = 0.9
"""How slowly the estimate follows of how loud everything is that is not echo."""
_LEAST_POWER = 1e-6
_HARM = 1.5
"""A filter that leaves this much more power than there was, has learnt something that no longer holds."""
_SLOWLY = 0.03

Floats = NDArray[np.float32]
Spectra = NDArray[np.complex64]


class LinearFilter:
    """One path from a loudspeaker to a microphone. Takes about 0.1 ms of processor time a hop."""

    def __init__(self) -> None:
        bins = HOP_FRAMES + 1
        self._doubt_at_first = np.repeat(
            (_FIRST_DOUBT * _DOUBT_FADES ** np.arange(PARTITIONS, dtype=np.float32))[:, None], bins, axis=1
        ).astype(np.float32)
        self._sound = np.zeros(2 * HOP_FRAMES, np.float32)
        self._played: Spectra = np.zeros((PARTITIONS, bins), np.complex64)
        self._half_turn = _half_turn()
        self._silent_hops = PARTITIONS + 1
        self._forget()

    def subtract(self, heard: Floats, played: Floats) -> Floats:
        """What is left of ``heard`` without what it has of ``played``, up to 320 ms ago; ``HOP_FRAMES`` of each."""
        self._silent_hops = 0 if played.any() else self._silent_hops + 1
        if self._silent_hops > PARTITIONS:
            return heard  # nothing can be heard of what was played: nothing to subtract, nothing to learn
        self._take(played)
        echo = self._expected()
        if offset := self._alignment.offset(heard, echo):
            self._move(offset)
            echo = self._expected()
        left: Floats = heard - echo
        self._learn(left)
        self._look_for_harm(heard, left)
        return left

    def _forget(self) -> None:
        self._path: Spectra = np.zeros_like(self._played)
        self._doubt: Floats = self._doubt_at_first.copy()
        self._other: Floats = np.full(HOP_FRAMES + 1, 1e-2, np.float32)  # the power of everything that is not echo
        self._heard_power = self._left_power = 0.0
        self._alignment = Alignment()

    def _expected(self) -> Floats:
        """The echo of what was played."""
        return np.fft.irfft((self._played * self._path).sum(axis=0))[HOP_FRAMES:].astype(np.float32)

    def _move(self, frames: int) -> None:
        """The same echo comes so many frames later."""
        response = np.fft.irfft(self._path, axis=1)[:, :HOP_FRAMES].ravel()
        moved = np.zeros_like(response)
        if frames > 0:
            moved[frames:] = response[:-frames]
        else:
            moved[:frames] = response[-frames:]
        self._path = np.fft.rfft(moved.reshape(PARTITIONS, -1), 2 * HOP_FRAMES, axis=1).astype(np.complex64)

    def _take(self, played: Floats) -> None:
        self._sound[:HOP_FRAMES] = self._sound[HOP_FRAMES:]
        self._sound[HOP_FRAMES:] = played
        self._played[1:] = self._played[:-1].copy()
        self._played[0] = np.fft.rfft(self._sound)

    def _learn(self, left: Floats) -> None:
        error: Spectra = np.fft.rfft(left, 2 * HOP_FRAMES).astype(np.complex64)
        error *= self._half_turn
        self._other *= _MEMORY
        self._other += (1 - _MEMORY) * _power(error)
        power = _power(self._played)
        step = self._doubt / (0.5 * (power * self._doubt).sum(axis=0) + self._other + _LEAST_POWER)
        change = np.fft.irfft(step * np.conj(self._played) * error, axis=1)
        change[:, HOP_FRAMES:] = 0  # a response of a partition is no longer than the partition
        self._path += np.fft.rfft(change, axis=1)
        self._doubt *= _KEPT * _KEPT * (1 - 0.5 * step * power)
        self._doubt += (1 - _KEPT * _KEPT) * _power(self._path)

    def _look_for_harm(self, heard: Floats, left: Floats) -> None:
        self._heard_power += _SLOWLY * (float(heard @ heard) - self._heard_power)
        self._left_power += _SLOWLY * (float(left @ left) - self._left_power)
        if self._left_power > _HARM * self._heard_power:
            self._forget()


def _power(spectrum: Spectra) -> Floats:
    power: Floats = spectrum.real**2 + spectrum.imag**2
    return power


def _half_turn() -> Floats:
    """What moves a hop of sound, padded with one of silence, from the first half of a transform to the second."""
    turn = np.ones(HOP_FRAMES + 1, np.float32)
    turn[1::2] = -1
    return turn
