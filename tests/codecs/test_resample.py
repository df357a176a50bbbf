"""Another rate for frames as they come: in time, in tune, and not a sample too many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.codecs.resample import Resampler

TONE_HZ = 997
PAIRS = [(24_000, 48_000), (24_000, 44_100), (48_000, 16_000), (44_100, 24_000), (22_050, 48_000)]


def tone(rate_hz: int, seconds: float = 1.0, channels: int = 1) -> bytes:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    sides = [np.sin(2 * np.pi * TONE_HZ * (channel + 1) * t) for channel in range(channels)]
    return (28_000 * np.stack(sides, axis=1)).round().astype("<i2").tobytes()


def resampled(pcm: bytes, from_hz: int, to_hz: int, channels: int = 1, cuts: tuple[int, ...] = ()) -> bytes:
    resampler, out = Resampler(from_hz, to_hz, channels), b""
    for start, end in pairwise([0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]):
        out += resampler.process(pcm[start:end])
    return out + resampler.flush()


def sinad_db(samples: npt.NDArray[np.float64], rate_hz: int, hz: float) -> float:
    """By how much the tone is louder than everything else."""
    t = np.arange(len(samples)) / rate_hz
    basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t), np.ones(len(t))], axis=1)
    fitted = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return float(10 * np.log10((fitted**2).mean() / ((samples - fitted) ** 2).mean()))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_nothing_is_added_to_a_tone(from_hz: int, to_hz: int) -> None:
    heard = np.frombuffer(resampled(tone(from_hz), from_hz, to_hz), "<i2").astype(float)
    middle = heard[to_hz // 10 : -to_hz // 10]

    assert sinad_db(middle, to_hz, TONE_HZ) >= 90


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
def test_every_channel_keeps_to_itself(channels: int) -> None:
    heard = np.frombuffer(resampled(tone(24_000, 0.5, channels), 24_000, 48_000, channels), "<i2")
    sides = heard.reshape(-1, channels)[4800:-4800].astype(float)

    assert all(sinad_db(sides[:, side], 48_000, TONE_HZ * (side + 1)) > 80 for side in range(channels))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 20_000), st.sampled_from(PAIRS), st.sampled_from([1, 2]))
def test_the_length_is_exact(frames: int, rates: tuple[int, int], channels: int) -> None:
    from_hz, to_hz = rates
    out = resampled(bytes(frames * 2 * channels), from_hz, to_hz, channels)

    assert abs(len(out) // (2 * channels) - frames * to_hz / from_hz) <= 0.5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 20_000), max_size=20).map(tuple), st.sampled_from(PAIRS))
def test_the_output_does_not_depend_on_how_the_input_was_cut(cuts: tuple[int, ...], rates: tuple[int, int]) -> None:
    pcm = tone(rates[0], 0.2)

    assert resampled(pcm, *rates, cuts=cuts) == resampled(pcm, *rates)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_it_is_never_more_than_5_ms_late(from_hz: int, to_hz: int) -> None:
    resampler, pcm, out = Resampler(from_hz, to_hz), tone(from_hz, 0.5), 0
    for start in range(0, len(pcm), 96):
        out += len(resampler.process(pcm[start : start + 96]))
        fed_s = min(start + 96, len(pcm)) / 2 / from_hz
        assert fed_s - out / 2 / to_hz < 0.005


def test_the_same_rate_changes_nothing() -> None:
    assert resampled(tone(24_000), 24_000, 24_000, cuts=(1, 5, 100)) == tone(24_000)


def test_after_the_end_another_run_can_begin() -> None:
    resampler, pcm = Resampler(24_000, 44_100), tone(24_000, 0.1)

    assert resampler.flush() == b""
    assert resampler.process(pcm) + resampler.flush() == resampler.process(pcm) + resampler.flush()
