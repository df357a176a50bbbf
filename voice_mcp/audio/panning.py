"""One or two channels on the front sides of a device: where a voice sits.

The sides stand to each other as the constant-power law has it (an angle of 0 to 90 degrees, the middle at 45), so a
voice moves evenly from ear to ear. That law alone takes 3 dB off in the middle. Here the nearer side keeps every sample
as it is, and only the farther one is turned down: a voice in the middle is as loud as one channel put on both sides by
the sound system, nothing is ever louder than it was, and a voice that sits all the way on one side loses the 3 dB.
"""

from __future__ import annotations

import math
from array import array

from voice_mcp.types import BYTES_PER_SAMPLE

_UNITY_BITS = 15
_UNITY = 1 << _UNITY_BITS


def side_gains(pan: float) -> tuple[float, float]:
    """How loud the left and the right side are, 0 to 1, for a voice at ``pan`` (-1 left, 0 middle, 1 right)."""
    angle = math.pi / 4 * (1 + pan)
    left, right = math.cos(angle), math.sin(angle)
    near = max(left, right)
    return left / near, right / near


def place(pcm: bytes, channels: int, into: int, pan: float = 0.0) -> bytes:
    """Put a voice on the first two channels, which are front left and right in every layout; the others are silent.

    Args:
        pcm: Interleaved signed 16-bit frames, whole.
        channels: Samples per frame: 1, which goes to both sides, or 2, which keep to theirs.
        into: Samples per frame of the result, 2 or more.
        pan: -1 (left) to 1 (right); 0 changes no sample.

    Returns:
        As many frames as went in.
    """
    samples = array("h", pcm)
    placed = array("h", bytes(len(samples) // channels * into * BYTES_PER_SAMPLE))
    for side, gain in enumerate(side_gains(pan)):
        placed[side::into] = _turned_down(samples[side % channels :: channels], gain)
    return placed.tobytes()


def _turned_down(samples: array[int], gain: float) -> array[int]:
    factor = round(gain * _UNITY)
    if factor == _UNITY:
        return samples
    # Fixed point, rounded to the nearest: half the time of floats, and exact at both ends.
    half = _UNITY >> 1
    return array("h", [(sample * factor + half) >> _UNITY_BITS for sample in samples])
