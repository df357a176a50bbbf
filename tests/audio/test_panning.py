"""Where a voice sits: evenly from ear to ear, and never louder than it was."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.audio.panning import place, side_gains

SAMPLES = st.lists(st.integers(-32768, 32767), max_size=240)
PANS = st.floats(-1.0, 1.0)
VOICE = array("h", [-32768, 32767, 12345, -1, 0, 1]).tobytes()


def sides(pcm: bytes, channels: int) -> list[list[int]]:
    samples = array("h", pcm).tolist()
    return [samples[channel::channels] for channel in range(channels)]


@given(SAMPLES, st.integers(2, 8))
def test_in_the_middle_both_sides_get_every_sample_as_it_is(samples: list[int], into: int) -> None:
    left, right, *others = sides(place(array("h", samples).tobytes(), 1, into), into)

    assert left == right == samples
    assert all(not any(other) for other in others)


@given(SAMPLES.filter(lambda samples: len(samples) % 2 == 0), st.integers(2, 8))
def test_in_the_middle_the_sides_of_stereo_keep_to_themselves(samples: list[int], into: int) -> None:
    left, right, *others = sides(place(array("h", samples).tobytes(), 2, into), into)

    assert (left, right) == (samples[::2], samples[1::2])
    assert all(not any(other) for other in others)


@pytest.mark.parametrize(("pan", "near", "far"), [(-1.0, 0, 1), (1.0, 1, 0)])
@pytest.mark.parametrize("into", [2, 6])
def test_all_the_way_to_one_side_the_other_one_is_silent(pan: float, near: int, far: int, into: int) -> None:
    placed = sides(place(VOICE, 1, into, pan), into)

    assert placed[near] == array("h", VOICE).tolist()
    assert not any(placed[far])


@given(SAMPLES, PANS)
def test_the_nearer_side_is_never_changed_and_the_farther_one_never_louder(samples: list[int], pan: float) -> None:
    left, right = sides(place(array("h", samples).tobytes(), 1, 2, pan), 2)
    near, far = (right, left) if pan > 0 else (left, right)

    assert near == samples
    assert all(abs(b) <= abs(a) for a, b in zip(near, far, strict=True))


@given(PANS)
def test_the_sides_stand_to_each_other_as_in_the_constant_power_law(pan: float) -> None:
    left, right = side_gains(pan)

    assert max(left, right) == 1.0
    assert np.arctan2(right, left) == pytest.approx(np.pi / 4 * (1 + pan))


@given(SAMPLES, PANS)
def test_what_is_turned_down_is_rounded_to_the_nearest(samples: list[int], pan: float) -> None:
    placed = np.array(sides(place(array("h", samples).tobytes(), 1, 2, pan), 2), float)
    exact = np.outer(side_gains(pan), samples)

    assert np.abs(placed - exact).max(initial=0) <= 0.5 + 32_768 / 65_536  # and the gain itself, to 16 bits
