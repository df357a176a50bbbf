"""Tells whether sound bears the mark of a key, from any three seconds of it.

    short-time spectrum ─▶ level of each cell against its neighbours ─▶ compared with the pattern, at every place where
    it could begin ─▶ score

Source of the bound on false alarms: Hoeffding, "Probability inequalities for sums of bounded random variables" (1963).
Levels that know nothing of a key's signs agree with them by chance only, whatever the sound is: a score of z or more
comes by chance with a probability under exp(-z²/2), at each of the places that are tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_mcp.samples.convert import Samples
from voice_mcp.watermark import _pattern as pattern
from voice_mcp.watermark.marker import PUBLIC_KEY

WINDOW_S = 3.0
"""What is enough to tell."""
MOST_FALSE_ALARM = 1e-6
"""How likely chance may be at most, for sound to be called marked."""

_STEPS_A_HOP = 2
_STEPS_A_CELL = _STEPS_A_HOP * pattern.CELL_HOPS
_PLACES = pattern.CELLS * _STEPS_A_CELL
_QUIET_DB = -45.0
"""Moments so far under the loud ones are pauses, and carry no mark."""
_RANGE_DB = -60.0
_MOST_DB = 6.0
"""No cell counts for more than this: a few that stand out would hide the many."""
_MOST_PAUSE = 0.3

_Levels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detection:
    """What a stretch of sound says of a key."""

    score: float
    """How well it agrees with the pattern, in standard deviations of chance; the best of all places."""
    false_alarm: float
    """How likely chance alone would reach that score in this stretch, at most."""
    start_s: float
    """Where the stretch begins in the sound."""
    end_s: float

    @property
    def is_marked(self) -> bool:
        """Whether chance cannot be the reason."""
        return self.false_alarm <= MOST_FALSE_ALARM


def detect(samples: Samples, rate_hz: int, key: str = PUBLIC_KEY, *, start_s: float = 0.0) -> Detection:
    """Look for the mark of a key in one stretch of sound, which holds one run of it at most.

    Takes about 3 ms of processor time for three seconds at 24 kHz.

    Args:
        samples: The sound, (n,) or (n, channels); 3 s are enough, under 1 s hardly ever.
        rate_hz: Frames per second; it need not be the rate it was marked at.
        key: Whose mark.
        start_s: Where the stretch begins, for the result.
    """
    mono: Samples = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
    score = _score(_standing_out(_band_levels(mono, rate_hz), pattern.whole_bands(rate_hz)), pattern.signs(key))
    return Detection(score, false_alarm(score), start_s, start_s + len(mono) / rate_hz)


def scan(
    chunks: Iterable[Samples],
    rate_hz: int,
    key: str = PUBLIC_KEY,
    *,
    window_s: float = WINDOW_S,
    step_s: float = WINDOW_S / 2,
) -> Iterator[Detection]:
    """Look for it in stretch after stretch: where the mark begins, ends, and begins anew. No more is kept than that.

    Args:
        chunks: The sound in order, in pieces of any size, (n,) or (n, channels).
        rate_hz: Frames per second.
        key: Whose mark.
        window_s: How long a stretch is.
        step_s: From the beginning of one to that of the next. The last one ends with the sound.
    """
    window, step = round(window_s * rate_hz), max(1, round(step_s * rate_hz))
    start, kept = 0, np.zeros(0, np.float32)
    for chunk in chunks:
        kept = np.concatenate((kept, chunk if chunk.ndim == 1 else chunk.mean(axis=1, dtype=np.float32)))
        while len(kept) >= window + step:
            yield detect(kept[:window], rate_hz, key, start_s=start / rate_hz)
            start, kept = start + step, kept[step:]
    if len(kept) > window:
        yield detect(kept[:window], rate_hz, key, start_s=start / rate_hz)
    last = kept[-window:]
    yield detect(last, rate_hz, key, start_s=(start + len(kept) - len(last)) / rate_hz)


def least_score() -> float:
    """The score from which on sound is called marked."""
    return math.sqrt(2 * math.log(_PLACES / MOST_FALSE_ALARM))


def false_alarm(score: float) -> float:
    """How likely chance alone would reach a score in one stretch, at most."""
    return min(1.0, _PLACES * math.exp(-(score**2) / 2)) if score > 0 else 1.0


def _band_levels(mono: Samples, rate_hz: int) -> _Levels:
    """The power in each band, every quarter of a cell; of shape (steps, ``BANDS``)."""
    shape = pattern.window(rate_hz)
    step = pattern.HOP_FRAMES * rate_hz / (pattern.GRID_HZ * _STEPS_A_HOP)
    count = max(0, math.floor((len(mono) - len(shape)) / step) + 1)
    starts = np.minimum(np.rint(np.arange(count) * step).astype(np.int64), max(0, len(mono) - len(shape)))
    windows = mono[starts[:, None] + np.arange(len(shape))] * shape
    spectra = np.fft.rfft(windows)
    power = spectra.real**2 + spectra.imag**2
    bands, levels = pattern.band_of_bins(rate_hz), np.zeros((count, pattern.BANDS), np.float32)
    for band in range(pattern.whole_bands(rate_hz)):
        levels[:, band] = power[:, bands == band].sum(axis=1)
    return levels


def _standing_out(power: _Levels, bands: int) -> _Levels:
    """By how many dB each cell stands out from its neighbours in pitch and time, at every step; 0 in pauses."""
    if len(power) < 3 * _STEPS_A_CELL:
        return np.zeros((0, pattern.BANDS), np.float32)
    whole = power.sum(axis=1)
    loud = np.percentile(whole, 95) + 1e-20
    levels = 10 * np.log10(np.maximum(power[:, :bands], loud * 10 ** (_RANGE_DB / 10)))
    is_pause = (whole < loud * 10 ** (_QUIET_DB / 10)).astype(np.float32)
    levels, pauses = _means(levels), _means(is_pause[:, None])
    beside = np.pad(levels, ((0, 0), (1, 1)), mode="reflect")
    levels = levels - (beside[:, :-2] + beside[:, 2:]) / 2
    around = np.pad(levels, ((_STEPS_A_CELL, _STEPS_A_CELL), (0, 0)), mode="edge")
    levels = levels - (around[: -2 * _STEPS_A_CELL] + around[2 * _STEPS_A_CELL :]) / 2
    out = np.zeros((len(levels), pattern.BANDS), np.float32)
    out[:, :bands] = np.clip(levels, -_MOST_DB, _MOST_DB) * (pauses <= _MOST_PAUSE)
    return out


def _means(values: _Levels) -> _Levels:
    """Over the length of a cell, at every step."""
    sums = np.cumsum(np.pad(values, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    return ((sums[_STEPS_A_CELL:] - sums[:-_STEPS_A_CELL]) / _STEPS_A_CELL).astype(np.float32)


def _score(levels: _Levels, signs: pattern.Signs) -> float:
    """The best agreement with the pattern, wherever it may begin."""
    best = 0.0
    wanted = np.conj(np.fft.rfft(signs, axis=0))
    for first in range(min(_STEPS_A_CELL, len(levels))):
        cells = levels[first::_STEPS_A_CELL]
        # The same sign comes again after a whole pattern: its cells are added before they are judged.
        turns = -(-len(cells) // pattern.CELLS)
        folded = np.pad(cells, ((0, turns * pattern.CELLS - len(cells)), (0, 0)))
        folded = folded.reshape(turns, pattern.CELLS, pattern.BANDS).sum(axis=0)
        by_chance = math.sqrt(float((folded**2).sum()))
        if by_chance > 0:
            agreement = np.fft.irfft((np.fft.rfft(folded, axis=0) * wanted).sum(axis=1), pattern.CELLS)
            best = max(best, float(agreement.max()) / by_chance)
    return best
