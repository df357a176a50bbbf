"""Speech at another speed and the same pitch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.samples.convert import Samples
from voice_mcp.samples.stretch import Stretcher

RATE_HZ = 24_000


def tone(hz: float, seconds: float = 1.0, level: float = 0.5) -> Samples:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def stretched(samples: Samples, speed: float, cuts: tuple[int, ...] = ()) -> Samples:
    stretcher = Stretcher(RATE_HZ, speed)
    parts = [stretcher.push(part) for part in np.split(samples, cuts)]
    return np.concatenate([*parts, stretcher.finish()])


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(np.argmax(spectrum)) * RATE_HZ / (1 << 18)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 2.0, 4.0])
def test_the_length_changes_and_the_pitch_does_not(speed: float) -> None:
    out = stretched(tone(220.0), speed)

    assert len(out) == round(RATE_HZ / speed)
    assert pitch_hz(out) == pytest.approx(220.0, rel=0.01)


@pytest.mark.parametrize("speed", [0.4, 1.7, 3.0])
def test_a_voice_keeps_its_loudness_and_does_not_click(speed: float) -> None:
    sound = tone(110.0) + tone(331.0, level=0.2)
    inner = stretched(sound, speed)[600:-2_000]

    assert np.sqrt(np.mean(inner**2)) == pytest.approx(float(np.sqrt(np.mean(sound**2))), rel=0.05)
    assert np.abs(np.diff(inner, 2)).max() < 1.5 * np.abs(np.diff(sound, 2)).max()


def test_at_normal_speed_every_sample_is_as_it_was() -> None:
    sound = tone(300.0, 0.3)

    assert np.array_equal(stretched(sound, 1.0, cuts=(17, 900)), sound)


@given(
    speed=st.floats(0.25, 4.0),
    frames=st.integers(0, 4_000),
    cuts=st.lists(st.integers(0, 4_000), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_the_sound_does_not_depend_on_how_it_was_cut(speed: float, frames: int, cuts: list[int]) -> None:
    noise = np.random.default_rng(7).uniform(-1, 1, frames).astype(np.float32)
    whole, cut = stretched(noise, speed), stretched(noise, speed, tuple(sorted(cuts)))

    assert len(whole) == round(frames / speed)
    assert np.array_equal(whole, cut)


def test_silence_stays_silence() -> None:
    assert not stretched(np.zeros(9_000, np.float32), 3.0).any()


def test_it_holds_little_of_a_long_sound() -> None:
    stretcher = Stretcher(RATE_HZ, 3.0)
    given_frames = out_frames = 0
    for _ in range(200):
        out_frames += len(stretcher.push(tone(200.0, 0.05)))
        given_frames += RATE_HZ // 20
        assert given_frames - 3 * out_frames < 0.1 * RATE_HZ
