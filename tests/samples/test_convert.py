"""Samples and frames: there and back without loss, and nothing that is not sound."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.errors import InvalidInput
from voice_mcp.samples.convert import LOUDEST, as_samples, to_frames, to_samples


@given(st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_frames_come_back_as_they_were(frames: bytes) -> None:
    samples = to_samples(frames)

    assert samples.dtype == np.float32
    assert to_frames(samples) == frames


def test_every_value_of_int16_comes_back() -> None:
    frames = np.arange(-32768, 32768).astype("<i2").tobytes()

    assert to_frames(to_samples(frames)) == frames


def test_channels_stay_beside_each_other() -> None:
    frames = array("h", [1, -1, 2, -2]).tobytes()

    assert (to_samples(frames, 2) * 32768).tolist() == [[1, -1], [2, -2]]
    assert to_frames(to_samples(frames, 2)) == frames


def test_samples_are_rounded_to_the_nearest_step() -> None:
    samples = np.array([0.4, 0.6, -0.4, -0.6, 1.5, 2.5], np.float32) / np.float32(32768)

    assert list(array("h", to_frames(samples))) == [0, 1, 0, -1, 2, 2]


def test_what_is_too_loud_is_clipped() -> None:
    samples = np.array([-9.0, -1.0, 1.0, 9.0, LOUDEST], np.float32)

    assert list(array("h", to_frames(samples))) == [-32768, -32768, 32767, 32767, 32767]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (1, 1, 5), (1, 5, 1), ()])
def test_dimensions_of_one_do_not_count(shape: tuple[int, ...]) -> None:
    values = np.linspace(-1, 1, max(1, int(np.prod(shape)))).reshape(shape)

    samples = as_samples(values)

    assert samples.dtype == np.float32
    assert np.array_equal(samples, values.reshape(-1).astype(np.float32))


@pytest.mark.parametrize("shape", [(5, 2), (1, 5, 2), (1, 2)])
def test_two_channels_are_kept(shape: tuple[int, ...]) -> None:
    assert as_samples(np.zeros(shape), channels=2).shape == (shape[-2], 2)


@pytest.mark.parametrize(("shape", "channels"), [((5, 2), 1), ((2, 5), 1), ((2, 5), 2), ((5,), 2), ((3, 5, 2), 2)])
def test_another_shape_is_refused_and_the_right_one_named(shape: tuple[int, ...], channels: int) -> None:
    with pytest.raises(InvalidInput, match="do not fit") as caught:
        as_samples(np.zeros(shape), channels)

    assert "(frames" in caught.value.hint


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_of_any_width_are_taken(dtype: str) -> None:
    assert as_samples(np.array([0.5, -0.25], dtype)).tolist() == [0.5, -0.25]


def test_samples_of_16_bits_are_scaled() -> None:
    assert as_samples(np.array([16384, -32768], np.int16)).tolist() == [0.5, -1.0]


def test_what_is_float32_already_is_not_copied() -> None:
    samples = np.zeros(10, np.float32)

    assert np.shares_memory(as_samples(samples[None, :]), samples)


@pytest.mark.parametrize(
    "values", [np.zeros(3, np.int64), np.zeros(3, np.uint8), ["a", "b"], [[1.0], [1.0, 2.0]], None]
)
def test_what_is_no_sound_is_refused(values: object) -> None:
    with pytest.raises(InvalidInput):
        as_samples(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_no_finite_number_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match="no finite number"), np.errstate(over="ignore"):
        as_samples(np.array([0.0, bad]))


def test_part_of_a_frame_is_refused() -> None:
    with pytest.raises(InvalidInput, match="whole number of frames"):
        to_samples(b"123")
    with pytest.raises(InvalidInput):
        to_samples(bytes(6), 2)
