"""Detection: the mark of a key is found in any three seconds, and never where it is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.support.marking import RATE_HZ, after, marked, resampled, spoken, windows
from tests.support.spoken import said
from voice_mcp.samples.convert import Samples, to_samples
from voice_mcp.watermark.detector import MOST_FALSE_ALARM, detect, false_alarm, least_score, scan

KEY = "a key"


def music(seconds: float) -> Samples:
    """Chords that come and go."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    notes = 220 * 2 ** (np.array([0, 4, 7, 12, 3, 10])[np.floor(t * 3).astype(int) % 6] / 12)
    phase = 2 * np.pi * np.cumsum(notes) / RATE_HZ
    sound = np.sum([np.sin(k * phase) / k for k in range(1, 25)], axis=0)
    swelling: Samples = (0.1 * sound * np.exp(-3 * (t * 3 % 1))).astype(np.float32)
    return swelling


def noise(seconds: float) -> Samples:
    return (0.1 * np.random.default_rng(3).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("codec", ["none", "resampled", "mp3", "opus", "aac"])
@pytest.mark.parametrize("voice", ["en-us", "en-gb+f2"])
def test_a_mark_is_found_in_any_three_seconds(codec: str, voice: str) -> None:
    heard = after(codec, marked(spoken(voice), KEY))

    assert all(detect(window, RATE_HZ, KEY).is_marked for window in windows(heard, 3.0, 8))


@pytest.mark.parametrize("gain", [0.02, 0.5, 1.5])
def test_a_mark_survives_another_volume(gain: float) -> None:
    heard = after("none", (gain * marked(spoken(), KEY)).astype(np.float32))

    assert all(detect(window, RATE_HZ, KEY).is_marked for window in windows(heard, 3.0, 4))


@pytest.mark.parametrize("marked_hz", [16_000, 22_050, 48_000])
@pytest.mark.parametrize("found_hz", [16_000, 24_000, 44_100])
def test_a_mark_made_at_one_rate_is_found_at_another(marked_hz: int, found_hz: int) -> None:
    heard = resampled(marked(spoken(rate_hz=marked_hz), KEY, marked_hz), marked_hz, found_hz)

    assert detect(heard[found_hz : 4 * found_hz], found_hz, KEY).is_marked


@pytest.mark.parametrize("sound", [spoken(), music(10.0), noise(10.0)], ids=["speech", "music", "noise"])
def test_what_was_never_marked_is_not_called_marked(sound: Samples) -> None:
    assert not any(detect(window, RATE_HZ, KEY).is_marked for window in windows(sound, 3.0, 40))


def test_the_mark_of_another_key_is_not_ours() -> None:
    heard = marked(spoken(), "another key")

    assert not any(detect(window, RATE_HZ, KEY).is_marked for window in windows(heard, 3.0, 20))


def test_chance_reaches_a_score_no_more_often_than_is_said() -> None:
    turns = [said(speaker=speaker, number=number) for speaker in ("en-us-f1", "de-m3") for number in (0, 1)]
    keys = [f"key {number}" for number in range(300)]
    scores = np.array([detect(to_samples(turn), 16_000, key).score for turn in turns for key in keys])

    for score in (3.0, 3.5, 4.0, 4.25):
        assert np.mean(scores >= score) <= false_alarm(score)
    assert false_alarm(float(scores.max())) > 10 * MOST_FALSE_ALARM


def test_the_bound_falls_with_the_score() -> None:
    bounds = [false_alarm(score) for score in (0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 30.0)]

    assert bounds[:2] == [1.0, 1.0]
    assert all(lower < higher for higher, lower in pairwise(bounds[1:]))


@pytest.mark.parametrize("frames", [0, 1, 500, 5_000])
def test_too_little_sound_says_nothing(frames: int) -> None:
    found = detect(marked(spoken(), KEY)[:frames], RATE_HZ, KEY)

    assert not found.is_marked
    assert found.false_alarm > MOST_FALSE_ALARM


def test_silence_says_nothing() -> None:
    found = detect(np.zeros(3 * RATE_HZ, np.float32), RATE_HZ, KEY)

    assert (found.score, found.false_alarm, found.is_marked) == (0.0, 1.0, False)


def test_both_channels_are_listened_to() -> None:
    left = marked(spoken(), KEY)[: 3 * RATE_HZ]

    assert detect(np.stack((left, np.zeros_like(left)), axis=1), RATE_HZ, KEY).is_marked


def test_a_scan_tells_where_the_mark_is() -> None:
    speech = spoken()
    sound = np.concatenate((noise(6.0), marked(speech[: 6 * RATE_HZ], KEY), speech[6 * RATE_HZ : 12 * RATE_HZ]))
    found = list(scan([sound], RATE_HZ, KEY))

    assert [found[0].start_s, found[-1].end_s] == [0.0, 18.0]
    assert all(stretch.is_marked for stretch in found if stretch.start_s >= 6 and stretch.end_s <= 12)
    assert not any(stretch.is_marked for stretch in found if stretch.end_s <= 6 or stretch.start_s >= 12)


def test_a_scan_of_less_than_a_window_looks_at_all_of_it() -> None:
    found = list(scan([marked(spoken(), KEY)[: 2 * RATE_HZ]], RATE_HZ, KEY))

    assert len(found) == 1
    assert found[0].is_marked


@pytest.mark.parametrize("piece", [7_777, RATE_HZ, 20 * RATE_HZ])
@pytest.mark.parametrize("frames", [0, 100, 3 * RATE_HZ, 3 * RATE_HZ + 1, 9 * RATE_HZ // 2, 10 * RATE_HZ])
def test_a_scan_does_not_depend_on_how_the_sound_was_cut(frames: int, piece: int) -> None:
    sound = spoken()[:frames]
    found = list(scan((sound[start : start + piece] for start in range(0, frames, piece)), RATE_HZ, KEY))

    assert found == list(scan([sound], RATE_HZ, KEY))
    assert found[-1].end_s == frames / RATE_HZ


def test_the_least_score_is_just_enough() -> None:
    assert false_alarm(least_score() + 1e-9) <= MOST_FALSE_ALARM < false_alarm(least_score() - 1e-9)
