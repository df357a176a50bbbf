"""Many channels into one."""

from __future__ import annotations

from array import array


def downmix(pcm: bytes, channels: int) -> bytes:
    """The mean of the channels of every frame, rounded to the nearest.

    Args:
        pcm: Interleaved signed 16-bit frames, whole.
        channels: Samples per frame.

    Returns:
        Mono frames, as many as went in.
    """
    if channels == 1:
        return pcm
    samples = array("h", pcm)
    sides = [samples[channel::channels] for channel in range(channels)]
    half = channels // 2
    if channels == 2:  # said separately because it is three times as fast, and nearly all there is
        return array("h", [(left + right + 1) >> 1 for left, right in zip(*sides, strict=True)]).tobytes()
    return array("h", [(sum(frame) + half) // channels for frame in zip(*sides, strict=True)]).tobytes()
