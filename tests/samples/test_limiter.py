"""The limiter: nothing passes the ceiling, nothing else is touched, nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from tests.samples.sounds import RATE_HZ, cut, noise, swelling, through, tone
from voice_mcp.samples.convert import Samples
from voice_mcp.samples.limiter import Limiter, limited

CEILING = 10 ** (-1 / 20)


def make() -> Limiter:
    return Limiter(RATE_HZ)


def test_no_sample_passes_the_ceiling() -> None:
    heard = limited(swelling(3.0), RATE_HZ)

    assert np.abs(heard).max() <= CEILING


@pytest.mark.parametrize("hz", [220, 997, 3_000, 6_000])
def test_no_peak_between_samples_passes_it_either(hz: int) -> None:
    heard = limited(tone(hz, peak=1.4, phase=np.pi / 4), RATE_HZ)
    between = resample_poly(heard.astype(np.float64), 16, 1)[8_000:-8_000]

    assert 20 * np.log10(np.abs(between).max()) <= -1 + 0.07


def test_below_the_ceiling_every_sample_passes_as_it_is() -> None:
    said = noise(2.0, rms=0.1)

    assert np.array_equal(limited(said, RATE_HZ), said)


def test_before_and_long_after_a_peak_every_sample_passes_as_it_is() -> None:
    said = noise(3.0, rms=0.05)
    said[RATE_HZ] = 2.0
    heard, ahead = limited(said, RATE_HZ), make().delay_frames

    assert np.array_equal(heard[: RATE_HZ - ahead], said[: RATE_HZ - ahead])
    assert np.array_equal(heard[2 * RATE_HZ :], said[2 * RATE_HZ :])
    assert abs(heard[RATE_HZ]) <= CEILING


def test_silence_stays_silence() -> None:
    silence = np.zeros(RATE_HZ, np.float32)

    assert not limited(silence, RATE_HZ).any()
    heard = limited(np.concatenate((silence, swelling(), silence)), RATE_HZ)
    assert not heard[:RATE_HZ].any()
    assert not heard[-RATE_HZ:].any()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, RATE_HZ), max_size=30), st.booleans())
def test_the_output_does_not_depend_on_how_the_input_was_cut(cuts: list[int], true_peak: bool) -> None:
    said = swelling()
    whole = through(lambda: Limiter(RATE_HZ, true_peak=true_peak), [said])

    assert np.array_equal(through(lambda: Limiter(RATE_HZ, true_peak=true_peak), cut(said, cuts)), whole)


def test_single_samples_make_the_same_sound() -> None:
    said = swelling(0.1)

    assert np.array_equal(through(make, cut(said, range(len(said)))), limited(said, RATE_HZ))


@pytest.mark.parametrize("frames", [0, 1, 5, 119, 120, 126, 127, 1_000])
def test_the_output_is_as_long_as_the_input(frames: int) -> None:
    assert len(limited(swelling()[:frames], RATE_HZ)) == frames


def test_it_holds_back_exactly_what_it_reports() -> None:
    limiter, out = make(), 0
    for number, piece in enumerate(cut(swelling(), range(0, RATE_HZ, 100)), 1):
        out += len(limiter.process(piece))
        assert out == max(0, 100 * (number - 1) - limiter.delay_frames)


def test_it_is_never_more_than_six_milliseconds_late() -> None:
    assert make().delay_frames / RATE_HZ < 0.006


def test_all_channels_get_the_same_gain() -> None:
    both = np.stack((swelling(), 0.1 * tone(220, phase=0.3)), axis=1).astype(np.float32)
    heard = through(lambda: Limiter(RATE_HZ, 2), [both])
    gain = heard[:, 1] / both[:, 1]

    assert np.abs(heard).max() <= CEILING
    assert gain.min() < 0.9
    assert np.allclose(gain * both[:, 0], heard[:, 0], atol=1e-5)


def test_the_gain_of_a_deep_steady_tone_hardly_moves() -> None:
    said = tone(100, 2.0, peak=1.2)
    heard = limited(said, RATE_HZ)
    loud = np.abs(said) > 0.6
    gain_db = 20 * np.log10(heard[loud] / said[loud])[RATE_HZ // 2 : -RATE_HZ // 2]

    assert np.ptp(gain_db) < 0.1


@pytest.mark.parametrize("true_peak", [True, False])
def test_what_begins_and_ends_too_loud_is_turned_down_and_not_cut_off(true_peak: bool) -> None:
    said = tone(220, 0.5, peak=1.4, phase=np.pi / 2)
    heard = through(lambda: Limiter(RATE_HZ, true_peak=true_peak), [said])
    loud = np.abs(said) > 0.5
    gain_db = 20 * np.log10(heard[loud] / said[loud])

    # What was cut off would leave the lower samples beside a peak as they were.
    assert gain_db.max() < 20 * np.log10(CEILING / 1.4) + 0.1


def test_after_the_end_another_run_can_begin() -> None:
    limiter, said = make(), swelling()

    first: Samples = np.concatenate((limiter.process(said), limiter.flush()))
    assert np.array_equal(np.concatenate((limiter.process(said), limiter.flush())), first)
    assert len(limiter.flush()) == 0
