"""From one run of frames into another that says the same: gains that add up to one."""

from __future__ import annotations

import math
from array import array


def crossfade(old: bytes, new: bytes, channels: int, *, at: int = 0, length: int | None = None) -> bytes:
    """Go over from ``old`` to ``new``, evenly. Where both are the same, so is the result, to the bit.

    Args:
        old: Frames that end here.
        new: As many frames, of what takes their place.
        channels: Samples per frame.
        at: How many frames of the crossfade lie before these: it may come in pieces.
        length: How many frames it has in all; None when these are all.
    """
    if old == new:
        return new
    before, after = array("h", old), array("h", new)
    steps = (len(before) // channels if length is None else length) + 1
    for index, (left, right) in enumerate(zip(before, after, strict=True)):
        share = (at + index // channels + 1) / steps
        after[index] = round(left + (right - left) * share)
    return after.tobytes()


def fade_out(frames: bytes, channels: int) -> bytes:
    """Let ``frames`` go to silence, along a raised cosine."""
    samples = array("h", frames)
    steps = len(samples) // channels + 1
    for index, sample in enumerate(samples):
        samples[index] = round(sample * (1 + math.cos(math.pi * (index // channels + 1) / steps)) / 2)
    return samples.tobytes()
