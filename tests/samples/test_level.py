"""One gain for a voice: from its loudness, and by the meter of FFmpeg."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.samples.sounds import RATE_HZ, noise, tone
from tests.support.extras import need
from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.samples.convert import to_frames
from voice_mcp.samples.level import MOST_GAIN_DB, apply, gain_for
from voice_mcp.types import PcmFormat

MONO = PcmFormat(RATE_HZ, 1)


def test_a_tone_at_minus_23_measures_three_less_in_one_channel_and_as_much_in_two() -> None:
    said = tone(997, 5.0, peak=10 ** (-23 / 20))

    assert loudness_lufs(to_frames(said), MONO) == pytest.approx(-26.0, abs=0.1)
    assert loudness_lufs(to_frames(np.stack((said, said), axis=1)), PcmFormat(RATE_HZ, 2)) == pytest.approx(
        -23.0, abs=0.1
    )


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_the_rate_makes_no_difference(rate_hz: int) -> None:
    t = np.arange(3 * rate_hz) / rate_hz
    said = (0.1 * np.sin(2 * np.pi * 997 * t)).astype(np.float32)

    assert loudness_lufs(to_frames(said), PcmFormat(rate_hz, 1)) == pytest.approx(-23.01, abs=0.1)


def test_pauses_do_not_make_speech_softer() -> None:
    said = noise(3.0)
    with_pause = np.concatenate((said, np.zeros(3 * RATE_HZ, np.float32), said))

    assert loudness_lufs(to_frames(with_pause), MONO) == pytest.approx(loudness_lufs(to_frames(said), MONO), abs=0.4)


def test_the_meter_agrees_with_pyloudnorm() -> None:
    meter = need("pyloudnorm").Meter(RATE_HZ)
    said = noise(4.0) * (0.6 + 0.4 * np.sin(np.arange(4 * RATE_HZ) / 7_000)).astype(np.float32)

    assert loudness_lufs(to_frames(said), MONO) == pytest.approx(meter.integrated_loudness(said.astype(float)), abs=0.1)


def test_silence_and_what_is_too_short_have_no_loudness() -> None:
    assert loudness_lufs(b"", MONO) == -math.inf
    assert loudness_lufs(bytes(2 * RATE_HZ), MONO) == -math.inf
    assert loudness_lufs(to_frames(tone(997, 0.3)), MONO) == -math.inf


def test_a_voice_comes_to_the_loudness_that_is_wanted() -> None:
    said = noise(4.0, rms=0.02)
    gain = gain_for(loudness_lufs(to_frames(said), MONO), -18.0)

    assert loudness_lufs(to_frames(apply(gain, said)), MONO) == pytest.approx(-18.0, abs=0.1)


def test_a_known_peak_is_kept_under_the_ceiling() -> None:
    assert gain_for(-30.0, -18.0, peak=0.5) * 0.5 == pytest.approx(10 ** (-1 / 20))
    assert gain_for(-30.0, -18.0, peak=0.01) == gain_for(-30.0, -18.0)
    assert gain_for(-30.0, -18.0, peak=0.0) == gain_for(-30.0, -18.0)


@pytest.mark.parametrize("loudness_lufs", [-math.inf, math.nan, -70.0])
def test_silence_is_not_brought_up(loudness_lufs: float) -> None:
    assert gain_for(loudness_lufs, -18.0) == 1.0


def test_there_is_a_limit_to_what_is_brought_up() -> None:
    assert gain_for(-59.0, 0.0) == pytest.approx(10 ** (MOST_GAIN_DB / 20))


def test_a_gain_is_the_same_for_every_piece_and_leaves_silence_alone() -> None:
    said, silence = noise(), np.zeros(100, np.float32)

    assert np.array_equal(np.concatenate((apply(1.7, said[:777]), apply(1.7, said[777:]))), apply(1.7, said))
    assert not apply(5.0, silence).any()
    assert apply(1.0, said) is said
    assert apply(1.7, said).dtype == np.float32
