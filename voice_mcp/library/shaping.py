"""What becomes of the sound between the engine and whoever takes it: one chain, whatever it is taken for.

    int16 frames ─▶ gain of the voice ─▶ joints between sentences ─▶ watermark ─▶ limiter ─▶ float32

Each stage keeps its state from piece to piece, so the result does not depend on how the sound is cut, and a stream
gives the samples that a file gets. Nothing here follows the level of the sound: a gain is fixed before a voice speaks.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from voice_mcp.library.chunks import FORMAT
from voice_mcp.samples.convert import LOUDEST, Samples, to_samples
from voice_mcp.samples.joint import Joiner
from voice_mcp.samples.level import apply
from voice_mcp.samples.limiter import Limiter
from voice_mcp.watermark.marker import Watermarker


class Stage(Protocol):
    """Samples in, samples out, as many in all."""

    def process(self, samples: Samples) -> Samples:
        """Take the next samples; return those that are now known."""
        ...

    def flush(self) -> Samples:
        """No more will come: what was held back."""
        ...


class Shaper:
    """The chain for one text.

    Args:
        limits: Whether peaks are kept under -1 dBFS, as they must be where there are gains.
        watermark_key: What the sound is marked with; None leaves it unmarked.
    """

    def __init__(self, *, limits: bool, watermark_key: str | None = None) -> None:
        self._gain = 1.0
        self._joiner = Joiner(FORMAT.rate_hz)
        self._stages: list[Stage] = []
        if watermark_key is not None:
            self._stages.append(Watermarker(watermark_key, FORMAT.rate_hz))
        if limits:
            self._stages.append(Limiter(FORMAT.rate_hz))
        elif watermark_key is not None:  # the mark may lift a peak that was at full scale
            self._stages.append(Limiter(FORMAT.rate_hz, ceiling_db=20 * math.log10(LOUDEST), true_peak=False))

    def next_piece(self, gain: float = 1.0) -> Samples:
        """What follows was rendered by itself, and ``gain`` brings it to its level; returns what is now known."""
        self._gain = gain
        return self._through(self._joiner.next_piece())

    def process(self, frames: bytes) -> Samples:
        """The next int16 frames of the piece; returns the samples that are now known."""
        return self._through(self._joiner.process(apply(self._gain, to_samples(frames))))

    def flush(self) -> Samples:
        """Nothing follows: what was held back."""
        rest = self._joiner.flush()
        for stage in self._stages:
            rest = np.concatenate((stage.process(rest), stage.flush()))
        return rest

    def _through(self, samples: Samples) -> Samples:
        for stage in self._stages:
            samples = stage.process(samples)
        return samples
