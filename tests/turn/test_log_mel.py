"""Whisper's front end: against the table that is published with Whisper, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from tests.support.corpus import sessions
from voice_mcp.turn._log_mel import LogMel

COUNT = 128_000
# From mel_filters.npz of openai-whisper 20250625 (``mel_80``): band, first frequency, weights; and sums of bands.
PUBLISHED = {
    0: (1, (0.02486259,)),
    40: (42, (0.0054111, 0.01473557, 0.00651819)),
    79: (186, (0.00036674, 0.00083307, 0.0012994, 0.00176573, 0.00223205, 0.00269838, 0.00316471, 0.00314131)),
}
PUBLISHED_SUMS = {20: 0.0248626, 40: 0.0266649, 60: 0.0251015, 79: 0.0249253}


@pytest.fixture(scope="module")
def front_end() -> LogMel:
    return LogMel()


def noise(seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.0, 0.1, COUNT).astype(np.float32)


def speech() -> NDArray[np.float32]:
    turn = next(sessions("tuning")[0].turns())
    return np.asarray(np.resize(np.frombuffer(turn.pcm, "<i2"), COUNT) / 32768, np.float32)


def tone(frequency_hz: float) -> NDArray[np.float32]:
    return np.asarray(np.sin(2 * np.pi * frequency_hz / 16_000 * np.arange(COUNT)), np.float32)


def scipys(sound: NDArray[np.float32], bands: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same, by scipy's Fourier transform and in double precision."""
    levelled = (sound - np.mean(sound, dtype=float)) / np.sqrt(np.var(sound, dtype=float) + 1e-7)
    transform = ShortTimeFFT(hann(400, sym=False), hop=160, fs=16_000, fft_mode="onesided")
    mirrored = np.pad(levelled, 200, mode="reflect")
    aligned = np.concatenate([np.zeros(120), mirrored])  # scipy's window number 2 has its middle 320 samples in
    power = np.abs(transform.stft(aligned, p0=2, p1=802)) ** 2
    strength = np.log10(np.maximum(bands.astype(float) @ power, 1e-10))
    limited: NDArray[np.float64] = (np.maximum(strength, strength.max() - 8.0) + 4.0) / 4.0
    return limited


@pytest.mark.parametrize("band", PUBLISHED)
def test_the_bands_are_those_that_are_published_with_whisper(front_end: LogMel, band: int) -> None:
    first, weights = PUBLISHED[band]
    row = front_end.bands[band]
    assert row[first : first + len(weights)] == pytest.approx(weights, abs=1e-7)
    assert not row[:first].any()


def test_each_band_weighs_what_it_does_in_the_published_table(front_end: LogMel) -> None:
    assert {band: front_end.bands[band].sum() for band in PUBLISHED_SUMS} == pytest.approx(PUBLISHED_SUMS, abs=1e-6)


@pytest.mark.parametrize("sound", [noise(), speech(), tone(440.0)], ids=["noise", "speech", "a tone"])
def test_it_computes_what_scipy_computes(front_end: LogMel, sound: NDArray[np.float32]) -> None:
    assert front_end.of(sound) == pytest.approx(scipys(sound, front_end.bands), abs=1e-3)


def test_a_second_has_a_hundred_columns_of_eighty_bands(front_end: LogMel) -> None:
    features = front_end.of(noise())
    assert features.shape == (80, 800)
    assert features.dtype == np.float32


@pytest.mark.parametrize(("frequency_hz", "band"), [(200.0, 4), (1000.0, 26), (4000.0, 62)])
def test_a_tone_is_strongest_in_its_own_band(front_end: LogMel, frequency_hz: float, band: int) -> None:
    strongest = front_end.of(tone(frequency_hz)).argmax(axis=0)
    assert np.abs(strongest - band).max() <= 1


def test_how_loud_somebody_speaks_makes_no_difference(front_end: LogMel) -> None:
    assert front_end.of(speech() * 0.5) == pytest.approx(front_end.of(speech()), abs=2e-3)


def test_nothing_is_weaker_than_eighty_decibels_below_the_strongest(front_end: LogMel) -> None:
    features = front_end.of(np.concatenate([tone(300.0)[:64_000], np.zeros(64_000, np.float32)]))
    assert features.max() - features.min() == pytest.approx(2.0, abs=1e-5)


def test_nothing_but_zeros_is_silence_and_no_error(front_end: LogMel) -> None:
    assert np.unique(front_end.of(np.zeros(COUNT, np.float32))) == pytest.approx([-1.5])
