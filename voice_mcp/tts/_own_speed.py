"""Speeds that a model can speak at by itself, and the rest, which is done to its sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from voice_mcp.samples.convert import Samples, to_frames
from voice_mcp.samples.stretch import Stretcher

SLOWEST, FASTEST = 0.5, 2.0
"""Beyond these the lengths that a network gives its sounds are no longer those of speech: the shortest do not get any
shorter, and the longest drone. Kokoro's library refuses them."""


def own_speed(speed: float, slowest: float = SLOWEST, fastest: float = FASTEST) -> float:
    """What to ask the model for."""
    return min(max(speed, slowest), fastest)


def in_time(sounds: Iterable[Samples], rate_hz: int, rest: float) -> Iterator[bytes]:
    """The sounds as frames in flight, ``rest`` times as fast, one channel.

    Args:
        sounds: One run of sound, in pieces of any size.
        rate_hz: Frames per second.
        rest: What is missing of the speed; 1.0 leaves every sample as it is.
    """
    stretcher = Stretcher(rate_hz, rest)
    for sound in sounds:
        if frames := to_frames(stretcher.push(sound)):
            yield frames
    if frames := to_frames(stretcher.finish()):
        yield frames


def silence(seconds: float, rate_hz: int) -> Samples:
    """So much of it, (n,)."""
    return np.zeros(round(seconds * rate_hz), np.float32)
