"""The maximum of neighbours, the fast way, is the maximum of neighbours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.samples.running_maximum import running_maximum


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60), st.integers(1, 60))
def test_each_is_the_maximum_of_its_neighbours(values: list[int], width: int) -> None:
    width = min(width, len(values))
    expected = [max(values[start : start + width]) for start in range(len(values) - width + 1)]

    assert running_maximum(np.array(values, np.int64), width).tolist() == expected
