"""A look-ahead limiter: loud passages are turned down before they come, so that no peak passes the ceiling.

    samples ─▶ how loud between and on them ─▶ how far down ─▶ the most of the next 5 ms ─▶ let go slowly ─▶ mean of
    the last 5 ms ─▶ gain

The mean of a maximum over the same time is never less than what any peak in it needs, and has no corner that could be
heard. How far down is kept in whole numbers of 2^-20 octaves: sums and maxima of them are exact, so the output does
not depend on how the input was cut. Where nothing is too loud, the gain is 1 and every sample passes as it is.

Source: ITU-R BS.1770-5, annex 2, for peaks between the samples.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voice_mcp.samples.convert import Samples
from voice_mcp.samples.running_maximum import running_maximum

CEILING_DB = -1.0
"""What encoders need to spare, relative to full scale. Source: EBU R 128."""
LOOK_AHEAD_S = 0.005
RELEASE_DB_PER_S = 20.0
"""Fast enough for the next syllable, and slow enough that the periods of a deep voice pass without a ripple."""

_OVERSAMPLING = 4
_TAPS = 12
"""Samples from which the sound between two of them is reckoned, half of them later."""
_STEPS_PER_OCTAVE = 1 << 20
_DB_PER_OCTAVE = 20 * math.log10(2)

_Steps = NDArray[np.int64]


class Limiter:
    """Keeps sound under a ceiling. The output does not depend on how the input was cut, and is as long as the input.

    A sample comes out ``delay_frames`` after it went in, the last ones with ``flush``; no silence is put in front.
    Takes about 1.2 ms of processor time for a second at 24 kHz where something is loud, 0.5 ms where nothing is.

    Args:
        rate_hz: Frames per second.
        channels: Samples per frame; all of a frame get the same gain.
        ceiling_db: What no peak passes, in dB relative to full scale.
        true_peak: Whether peaks between the samples count, as a converter or an encoder will make them; tones
            up to 6 kHz at 24 kHz stay under it to 0.06 dB, up to 8 kHz to 0.23 dB, the samples themselves exactly.
    """

    def __init__(
        self, rate_hz: int, channels: int = 1, *, ceiling_db: float = CEILING_DB, true_peak: bool = True
    ) -> None:
        self._channels = channels
        self._ceiling = float(10 ** (ceiling_db / 20))
        self._highest = np.float32(self._ceiling)
        if self._highest > self._ceiling:  # the nearest float32 may lie above it
            self._highest = np.nextafter(self._highest, np.float32(0))
        self._ahead = max(1, round(LOOK_AHEAD_S * rate_hz))
        self._release = max(1, round(RELEASE_DB_PER_S / _DB_PER_OCTAVE * _STEPS_PER_OCTAVE / rate_hz))
        self._between = _between_samples() if true_peak else None
        self._most_between = 0.0 if self._between is None else _most_between(self._between)
        self.delay_frames = self._ahead + (_TAPS // 2 if true_peak else 0)
        """Frames that are held back, always as many."""
        self._held: Samples
        self._begin()

    def process(self, samples: Samples) -> Samples:
        """Take the next samples; return those whose gain is now known.

        Args:
            samples: (n,) for one channel, (n, channels) for more.
        """
        if not len(samples):
            return samples
        self._held = np.concatenate((self._held, samples))
        return self._emit(self._gain(self._needed(self._loudness(samples))))

    def flush(self) -> Samples:
        """No more will come: what was held back. What is processed afterwards is another run."""
        held = len(self._held)
        silence = np.zeros((self.delay_frames, *self._held.shape[1:]), np.float32)
        rest = self.process(silence)[:held] if held else self._held
        self._begin()
        return rest

    def _begin(self) -> None:
        """Before the sound there was silence, and what is turned down at once began to be in it."""
        shape = () if self._channels == 1 else (self._channels,)
        self._held = np.zeros((0, *shape), np.float32)
        self._last: Samples = np.zeros((_TAPS - 1, *shape), np.float32)
        self._coming: _Steps = np.zeros(self._ahead, np.int64)
        self._released = 0
        self._recent: _Steps = np.zeros(self._ahead, np.int64)
        self._skip = self.delay_frames
        """Gains still to come of that silence."""

    def _loudness(self, samples: Samples) -> NDArray[np.float32]:
        """How loud it is at and around each frame; with ``true_peak`` ``_TAPS / 2`` frames late."""
        if self._between is None:
            return _loudest(np.abs(samples))
        run = np.concatenate((self._last, samples))
        self._last = run[len(run) - (_TAPS - 1) :]
        count, half = len(samples), _TAPS // 2
        here = np.abs(run[half - 1 : half - 1 + count])
        if np.abs(run).max() * self._most_between <= self._ceiling:
            return _loudest(here)  # nothing between can be too loud either
        for taps in self._between:
            sound = np.zeros(samples.shape, np.float32)
            for index, tap in enumerate(taps):  # one by one: sums of numpy's own choice depend on where a piece begins
                sound += tap * run[index : index + count]
            np.maximum(here, np.abs(sound), out=here)
        return _loudest(here)

    def _needed(self, loud: NDArray[np.float32]) -> _Steps:
        """How far down each frame must be."""
        over = np.maximum(loud.astype(np.float64) / self._ceiling, 1.0)
        steps: _Steps = np.ceil(np.log2(over) * _STEPS_PER_OCTAVE).astype(np.int64)
        return steps

    def _gain(self, needed: _Steps) -> NDArray[np.float32]:
        """The gain of the frames it is now known of, the oldest first."""
        self._coming = np.concatenate((self._coming, needed))
        ready = len(self._coming) - self._ahead
        if ready <= 0:
            return np.zeros(0, np.float32)
        down = self._let_go(running_maximum(self._coming, self._ahead + 1))
        self._coming = self._coming[ready:]
        run = np.concatenate((self._recent, down))
        self._recent = run[len(run) - self._ahead :]
        if not run.any():
            return np.ones(ready, np.float32)
        sums = np.concatenate(((0,), np.cumsum(run)))
        means = (sums[self._ahead + 1 :] - sums[: -self._ahead - 1]) // (self._ahead + 1)
        return np.exp2(means / -_STEPS_PER_OCTAVE).astype(np.float32)

    def _let_go(self, down: _Steps) -> _Steps:
        """Never faster up than ``RELEASE_DB_PER_S``."""
        if not self._released and not down.any():
            return down
        slope = self._release * np.arange(1, len(down) + 1, dtype=np.int64)
        before = np.array([self._released], np.int64)
        falling: _Steps = np.maximum.accumulate(np.concatenate((before, down + slope)))[1:] - slope
        held: _Steps = np.maximum(falling, 0)
        self._released = int(held[-1])
        return held

    def _emit(self, gain: NDArray[np.float32]) -> Samples:
        skipped = min(self._skip, len(gain))
        self._skip -= skipped
        gain = gain[skipped:]
        out = self._held[: len(gain)]
        self._held = self._held[len(gain) :]
        if not len(gain) or gain.min() == 1.0:
            return np.clip(out, -self._highest, self._highest) if len(out) else out
        limited: Samples = out * (gain if self._channels == 1 else gain[:, None])
        return np.clip(limited, -self._highest, self._highest)


def limited(samples: Samples, rate_hz: int, *, ceiling_db: float = CEILING_DB) -> Samples:
    """A whole piece of sound, limited at once: the same samples as piece by piece."""
    limiter = Limiter(rate_hz, 1 if samples.ndim == 1 else samples.shape[1], ceiling_db=ceiling_db)
    return np.concatenate((limiter.process(samples), limiter.flush()))


def _loudest(magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
    return magnitudes if magnitudes.ndim == 1 else magnitudes.max(axis=1)


def _between_samples() -> NDArray[np.float32]:
    """Filters that tell the sound a quarter, a half and three quarters of the way from one sample to the next."""
    shares = np.arange(1, _OVERSAMPLING) / _OVERSAMPLING
    # The newest tap lies half the filter after the sample in front of the gap.
    places = np.arange(_TAPS) - (_TAPS // 2 - 1)
    distance = places[None, :] - shares[:, None]
    window = np.cos(np.pi * distance / _TAPS) ** 2
    taps = np.sinc(distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


def _most_between(taps: NDArray[np.float32]) -> float:
    """By how much the sound between samples can be louder than any of them."""
    return 1.001 * float(np.abs(taps).sum(axis=1).max())  # and a little, for what sums of float32 may be off
