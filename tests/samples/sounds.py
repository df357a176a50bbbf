"""Sounds the tests reckon with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Protocol

import numpy as np

from voice_mcp.samples.convert import Samples

RATE_HZ = 24_000


class Process(Protocol):
    """Samples in, samples out, later."""

    def process(self, samples: Samples) -> Samples: ...

    def flush(self) -> Samples: ...


def tone(hz: float, seconds: float = 1.0, peak: float = 0.5, phase: float = 0.0) -> Samples:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * hz * t + phase)).astype(np.float32)


def noise(seconds: float = 1.0, rms: float = 0.1, seed: int = 1) -> Samples:
    return (rms * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def swelling(seconds: float = 1.0, rms: float = 0.5) -> Samples:
    """Noise that comes and goes, far beyond full scale in between."""
    loud = noise(seconds, rms)
    return (loud * (0.5 + 0.5 * np.sin(np.arange(len(loud)) / 2_000))).astype(np.float32)


def cut(samples: Samples, cuts: Iterable[int]) -> list[Samples]:
    places = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    return [samples[start:end] for start, end in pairwise(places)]


def through(make: Callable[[], Process], pieces: Iterable[Samples]) -> Samples:
    process = make()
    return np.concatenate([*(process.process(piece) for piece in pieces), process.flush()])


def second_differences(samples: Samples) -> Samples:
    """How sharply the sound bends; a click is where it bends as nowhere else."""
    return np.abs(np.diff(samples, 2))
