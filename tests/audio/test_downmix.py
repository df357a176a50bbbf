from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.audio.downmix import downmix


@given(st.lists(st.integers(-32768, 32767), max_size=240), st.sampled_from([1, 2, 3, 4, 6, 8]))
def test_every_frame_becomes_the_mean_of_its_channels(samples: list[int], channels: int) -> None:
    samples = samples[: len(samples) // channels * channels]
    mono = np.frombuffer(downmix(array("h", samples).tobytes(), channels), "<i2")
    means = np.array(samples, float).reshape(-1, channels).mean(axis=1)

    assert len(mono) == len(means)
    assert np.abs(mono - means).max(initial=0) <= 0.5


@pytest.mark.parametrize("loudest", [-32768, 32767])
@pytest.mark.parametrize("channels", [2, 8])
def test_the_loudest_sound_stays_what_it_is(loudest: int, channels: int) -> None:
    assert downmix(array("h", [loudest] * channels).tobytes(), channels) == array("h", [loudest]).tobytes()


def test_mono_is_passed_on_as_it_is() -> None:
    pcm = b"\x01\x02\x03\x04"

    assert downmix(pcm, 1) is pcm
