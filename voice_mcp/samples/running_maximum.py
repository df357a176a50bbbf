"""The maximum of each so many neighbours."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.int64)


def running_maximum(values: NDArray[Number], width: int) -> NDArray[Number]:
    """The maximum of each ``width`` neighbours along the last axis, by doubling: log2(width) passes over all of them.

    Args:
        values: At least ``width`` of them.
        width: How many neighbours, at least 1.

    Returns:
        ``width - 1`` fewer than went in: the first is the maximum of the first ``width``.
    """
    have = 1
    while have < width:
        step = min(have, width - have)
        values = np.maximum(values[..., :-step], values[..., step:])
        have += step
    return values
