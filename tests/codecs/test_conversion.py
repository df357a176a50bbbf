"""From the frames an engine sends to those a device takes."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.codecs.conversion import Converter
from voice_mcp.types import PcmFormat

MONO, STEREO, SURROUND = PcmFormat(24_000, 1), PcmFormat(24_000, 2), PcmFormat(24_000, 6)
FORMATS = [PcmFormat(rate_hz, channels) for rate_hz in (24_000, 44_100, 48_000) for channels in (1, 2, 6)]
PANS = [-1.0, -0.3, 0.0, 0.6, 1.0]
NOISE = np.random.default_rng(3).integers(-32_768, 32_768, 24_000, dtype=np.int16).tobytes()


def converted(pcm: bytes, source: PcmFormat, target: PcmFormat, pan: float = 0.0, cuts: tuple[int, ...] = ()) -> bytes:
    converter, out = Converter(source, target, pan), b""
    for start, end in pairwise([0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]):
        out += converter.convert(pcm[start:end])
    return out + converter.flush()


def sides(pcm: bytes, channels: int) -> npt.NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2").reshape(-1, channels).T


@pytest.mark.parametrize("fmt", FORMATS)
def test_equal_formats_touch_no_sample(fmt: PcmFormat) -> None:
    assert Converter(fmt, fmt).convert(NOISE) == NOISE


@pytest.mark.parametrize("pan", PANS)
def test_a_device_with_one_channel_has_no_sides(pan: float) -> None:
    assert converted(NOISE, MONO, MONO, pan) == NOISE
    assert converted(NOISE, STEREO, MONO, pan) == converted(NOISE, STEREO, MONO)


def test_one_channel_is_copied_to_both_sides_of_any_device() -> None:
    for channels in (2, 3, 6, 8):
        placed = sides(converted(NOISE, MONO, PcmFormat(24_000, channels)), channels)

        assert placed[0].tobytes() == placed[1].tobytes() == NOISE
        assert not placed[2:].any()


def test_two_channels_stay_where_they_are_on_a_device_with_more() -> None:
    placed = sides(converted(NOISE, STEREO, SURROUND), 6)

    assert np.array_equal(placed[:2], sides(NOISE, 2))
    assert not placed[2:].any()


def test_more_channels_than_the_device_has_become_one_voice_on_both_sides() -> None:
    left, right = sides(converted(NOISE, SURROUND, STEREO), 2)

    assert left.tobytes() == right.tobytes() == converted(NOISE, SURROUND, MONO)


def test_a_pan_moves_stereo_by_turning_the_farther_side_down() -> None:
    left, right = sides(converted(NOISE, STEREO, STEREO, 1.0), 2)

    assert not left.any()
    assert np.array_equal(right, sides(NOISE, 2)[1])


def test_a_pan_gathers_many_channels_into_one_voice() -> None:
    left, right, *others = sides(converted(NOISE, SURROUND, SURROUND, -1.0), 6)

    assert left.tobytes() == converted(NOISE, SURROUND, MONO)
    assert not right.any()
    assert not np.array(others).any()


@pytest.mark.parametrize("pan", PANS)
def test_another_rate_and_a_place_do_not_get_in_each_others_way(pan: float) -> None:
    target = PcmFormat(48_000, 2)
    resampled = converted(NOISE, MONO, PcmFormat(48_000, 1))

    assert converted(NOISE, MONO, target, pan) == converted(resampled, PcmFormat(48_000, 1), target, pan)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 20_000), max_size=20).map(tuple),
    st.sampled_from(FORMATS),
    st.sampled_from(FORMATS),
    st.sampled_from(PANS),
)
def test_the_output_does_not_depend_on_how_the_input_was_cut(
    cuts: tuple[int, ...], source: PcmFormat, target: PcmFormat, pan: float
) -> None:
    pcm = NOISE[:19_200]

    assert converted(pcm, source, target, pan, cuts) == converted(pcm, source, target, pan)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5_000), st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.sampled_from(PANS))
def test_the_length_is_exact(frames: int, source: PcmFormat, target: PcmFormat, pan: float) -> None:
    out = converted(bytes(frames * source.frame_bytes), source, target, pan)

    assert len(out) % target.frame_bytes == 0
    assert abs(target.frames(len(out)) - frames * target.rate_hz / source.rate_hz) <= 0.5


@pytest.mark.parametrize("pan", PANS)
def test_the_loudest_sound_is_not_louder_afterwards(pan: float) -> None:
    loudest = array("h", [-32_768, 32_767] * 100).tobytes()

    assert np.abs(sides(converted(loudest, MONO, STEREO, pan), 2).astype(int)).max() == 32_768
