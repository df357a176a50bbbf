"""Marks synthetic speech, so that whoever has the key can tell it later (docs/watermark.md).

    samples ─▶ short-time spectrum ─▶ each cell louder or softer, as the key says ─▶ the difference ─▶ added

What is strong in the spectrum at a moment changes by 0.3 dB, what lies 26 dB and more under the whole by 2 dB: it costs
least there, and the sound as a whole stays 29 dB above the difference. Where nothing is, nothing is added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_mcp.errors import InvalidInput
from voice_mcp.samples.convert import Samples
from voice_mcp.samples.running_maximum import running_maximum
from voice_mcp.watermark import _pattern as pattern

PUBLIC_KEY = "voice-mcp"
"""A key that everybody knows: its mark says "this is synthetic" to all, and can be forged by all."""
RATES_HZ = range(8_000, 192_001)

_LEAST_DB = 0.3
_MOST_DB = 2.0
_STRONG_DB = 15.0
"""What is no more than so much under the whole of its moment counts as strong."""
_DB_PER_DB = 0.15
"""How much more a cell changes for every dB that it is weaker."""
_REACH_S = 0.001
_MOST_OF_NEIGHBOURS = 0.25
"""The most that is added, of the loudest sample within ``_REACH_S``: nothing in silence, little before a plosive."""

_Spectra = NDArray[np.complex64]


class Watermarker:
    """Marks a stream of samples. The output does not depend on how the input was cut, and is as long as the input.

    Holds back at most ``delay_frames``, 21 ms; ``flush`` gives the last ones. Digital silence stays digital silence.
    The pattern goes by a count of samples, so chunks need no marks of their own.
    Takes 2 to 3 ms of processor time for a second at 24 kHz.

    Args:
        key: Whoever knows it can tell the mark, and make it.
        rate_hz: Frames per second, 8,000 to 192,000. Under 16,000 there is room for part of the mark only.
        channels: Samples per frame; each channel gets the same mark.
        start_s: Where in the pattern to begin, in seconds: what is marked piece by piece, each by a marker of its own,
            then bears one pattern.

    Raises:
        InvalidInput: Another rate.
    """

    def __init__(
        self, key: str = PUBLIC_KEY, rate_hz: int = pattern.GRID_HZ, channels: int = 1, *, start_s: float = 0.0
    ) -> None:
        if rate_hz not in RATES_HZ:
            raise InvalidInput(
                f"Sound of {rate_hz} Hz cannot be marked.", hint=f"Use {RATES_HZ[0]} to {RATES_HZ[-1]} Hz."
            )
        self._rate_hz = rate_hz
        self._channels = channels
        self._start_frame = round(start_s * rate_hz)
        self._hop = pattern.hop_frames(rate_hz)
        # The root of it twice, before and after, makes the whole of it.
        self._window = np.sqrt(pattern.window(rate_hz))
        bands = pattern.band_of_bins(rate_hz)
        self._marked = slice(int(np.argmax(bands >= 0)), int(np.nonzero(bands >= 0)[0][-1]) + 1)
        self._bands = bands[self._marked]
        self._band_starts = np.nonzero(np.diff(self._bands, prepend=-1))[0]
        self._signs = pattern.signs(key)
        self._reach = max(1, round(_REACH_S * rate_hz))
        self.delay_frames = 2 * self._hop - 1
        """Frames that are held back at most."""
        self._run: Samples
        self._skip: int
        self._hops: int
        self._begin()

    def process(self, samples: Samples) -> Samples:
        """Take the next samples; return those that are marked by now.

        Args:
            samples: (n,) for one channel, (n, channels) for more.
        """
        self._run = np.concatenate((self._run, samples.reshape(-1, self._channels).T), axis=1)
        hops = self._run.shape[1] // self._hop - 1
        if hops <= 0:
            return self._shaped(self._run[:, :0])
        difference, limit = self._difference(hops), self._limit(hops)
        out = self._run[:, : hops * self._hop] + np.clip(difference, -limit, limit)
        self._run = self._run[:, hops * self._hop :]
        self._hops += hops
        skipped, self._skip = self._skip, 0
        return self._shaped(out[:, skipped:])

    def flush(self) -> Samples:
        """No more will come: what was held back. What is marked afterwards is another run."""
        held = self._run.shape[1] - self._skip
        silence = np.zeros((2 * self._hop, self._channels), np.float32)
        rest = self.process(silence if self._channels > 1 else silence[:, 0])[:held]
        self._begin()
        return rest

    def _begin(self) -> None:
        # Half a window of silence stands before the sound, and is not given out.
        self._run = np.zeros((self._channels, self._hop), np.float32)
        self._before: Samples = np.zeros((self._channels, self._reach), np.float32)
        self._tail: Samples = np.zeros((self._channels, self._hop), np.float32)
        self._skip = self._hop
        self._hops = 0

    def _difference(self, hops: int) -> Samples:
        """What the next ``hops`` are to become different by."""
        size = 2 * self._hop
        windows = np.lib.stride_tricks.sliding_window_view(self._run, size, axis=1)[:, :: self._hop][:, :hops]
        spectra: _Spectra = np.fft.rfft(windows * self._window).astype(np.complex64)
        changes = np.zeros_like(spectra)
        changes[..., self._marked] = spectra[..., self._marked] * self._gains(spectra)
        parts = np.fft.irfft(changes, size).astype(np.float32) * self._window
        ends = np.concatenate((self._tail[:, None], parts[:, :-1, self._hop :]), axis=1)
        self._tail = parts[:, -1, self._hop :]
        whole: Samples = (ends + parts[..., : self._hop]).reshape(self._channels, -1)
        return whole

    def _gains(self, spectra: _Spectra) -> NDArray[np.float32]:
        """By which share of itself each marked bin changes."""
        power = spectra.real**2 + spectra.imag**2
        in_bands = np.add.reduceat(power[..., self._marked], self._band_starts, axis=-1)
        all_of_it = power.sum(axis=-1, keepdims=True) + np.float32(1e-20)
        under_db = -10 * np.log10(in_bands / all_of_it + np.float32(1e-12))
        size_db = np.clip(_LEAST_DB + _DB_PER_DB * (under_db - _STRONG_DB), _LEAST_DB, _MOST_DB)
        bands = self._bands[self._band_starts]
        changes = np.power(10, size_db * self._signs[self._cells(spectra.shape[1])][:, bands] / 20) - 1
        gains: NDArray[np.float32] = changes[..., np.searchsorted(bands, self._bands)].astype(np.float32)
        return gains

    def _cells(self, hops: int) -> NDArray[np.int64]:
        """In which cell of the pattern each of the next ``hops`` lies."""
        frames = self._start_frame + np.arange(self._hops, self._hops + hops, dtype=np.int64) * self._hop
        cell = pattern.CELL_HOPS * pattern.HOP_FRAMES
        return frames * pattern.GRID_HZ // (self._rate_hz * cell) % pattern.CELLS

    def _limit(self, hops: int) -> Samples:
        """The most that may be added to each sample of the next ``hops``."""
        count = hops * self._hop
        around = np.abs(np.concatenate((self._before, self._run[:, : count + self._reach]), axis=1))
        self._before = self._run[:, count - self._reach : count]
        return running_maximum(around, 2 * self._reach + 1) * np.float32(_MOST_OF_NEIGHBOURS)

    def _shaped(self, channels: Samples) -> Samples:
        return channels[0] if self._channels == 1 else channels.T
