"""Samples to reckon with: float32 between -1 and 1, and the way from and to the frames in flight, which are int16.

One sample of int16 is 1/32768 there and back, so frames that nobody touched come back as they were.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voice_mcp.errors import InvalidInput

Samples: TypeAlias = NDArray[np.float32]
"""(frames,) for one channel, (frames, channels) for more."""

FULL_SCALE = 32768.0
LOUDEST = 32767 / FULL_SCALE
"""The largest sample that int16 can hold."""


def as_samples(values: ArrayLike, channels: int = 1) -> Samples:
    """Whatever a model or a caller calls audio, as float32; what is that already is not copied.

    Args:
        values: Floats of any width, or int16, in anything numpy reads, tensors on the CPU among it. Its dimensions of
            length 1 do not count: one channel may come as (n,), (1, n), (n, 1) or (1, 1, n), two as (n, 2) or
            (1, n, 2). Nothing is clipped.
        channels: Samples per frame.

    Returns:
        (n,) for one channel, (n, channels) for more.

    Raises:
        InvalidInput: Another shape or type, or a value that is no finite number.
    """
    if hasattr(values, "detach"):  # a tensor that is still being learnt with
        values = values.detach()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as exc:  # the last is how a tensor says that it is on a GPU
        raise InvalidInput(f"{type(values).__name__} does not hold samples.", hint=_WANTED) from exc
    is_int16 = array.dtype.kind == "i" and array.dtype.itemsize == 2
    if array.dtype.kind != "f" and not is_int16:
        raise InvalidInput(f"Samples of type {array.dtype} cannot be used.", hint=_WANTED)
    shaped = _shaped(array, channels)
    with np.errstate(over="ignore"):  # what is too large is told below
        samples: Samples = shaped.astype(np.float32, copy=False)
    if is_int16:
        return samples / np.float32(FULL_SCALE)
    if not np.isfinite(samples).all():
        raise InvalidInput("The samples hold a value that is no finite number.")
    return samples


def to_samples(frames: bytes, channels: int = 1) -> Samples:
    """Frames in flight as samples.

    Args:
        frames: Whole frames, int16, little-endian, interleaved.
        channels: Samples per frame.

    Raises:
        InvalidInput: Part of a frame.
    """
    size = len(frames)
    if size % (2 * channels):
        raise InvalidInput(f"{size} bytes are not a whole number of frames of {2 * channels} bytes.")
    samples: Samples = np.frombuffer(frames, np.dtype("<i2")).astype(np.float32) / np.float32(FULL_SCALE)
    return samples if channels == 1 else samples.reshape(-1, channels)


def to_frames(samples: Samples) -> bytes:
    """Samples as frames in flight: clipped, and rounded to the nearest of 65,536 steps.

    Args:
        samples: (n,) or (n, channels), finite.
    """
    steps: Samples = np.rint(np.clip(samples, -1.0, LOUDEST) * np.float32(FULL_SCALE))
    return steps.astype(np.dtype("<i2")).tobytes()


def _shaped(array: NDArray[np.generic], channels: int) -> NDArray[np.generic]:
    long = [size for size in array.shape if size != 1]
    if channels == 1 and len(long) <= 1:
        return array.reshape(-1)
    if channels > 1 and array.ndim >= 2 and array.shape[-1] == channels and array.size == array.shape[-2] * channels:
        return array.reshape(-1, channels)
    wanted = f"(frames, {channels})" if channels > 1 else "(frames,)"
    raise InvalidInput(
        f"Samples of shape {array.shape} do not fit {channels} channel{'s' if channels > 1 else ''}.",
        hint=f"Pass an array of shape {wanted}.",
    )


_WANTED = "Pass float32 or int16 samples, as a numpy array or a tensor on the CPU (of bfloat16: its `.float()`)."
