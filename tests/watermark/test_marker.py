"""Marking: as it comes, without a sample more or less, and with nothing where nothing was."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.marking import RATE_HZ, marked, snr_db, spoken
from voice_mcp.errors import InvalidInput
from voice_mcp.samples.convert import Samples
from voice_mcp.watermark.detector import detect
from voice_mcp.watermark.marker import Watermarker


def in_pieces(samples: Samples, cuts: list[int], rate_hz: int = RATE_HZ, channels: int = 1) -> Samples:
    marker = Watermarker("key", rate_hz, channels)
    places = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    return np.concatenate([*(marker.process(samples[start:end]) for start, end in pairwise(places)), marker.flush()])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2 * RATE_HZ), max_size=30), st.sampled_from([8_000, 22_050, 24_000, 48_000]))
def test_the_output_does_not_depend_on_how_the_input_was_cut(cuts: list[int], rate_hz: int) -> None:
    said = spoken()[: 2 * RATE_HZ]

    assert np.array_equal(in_pieces(said, cuts, rate_hz), in_pieces(said, [], rate_hz))


@pytest.mark.parametrize("frames", [0, 1, 255, 256, 257, 511, 512, 513, 5_000])
def test_the_output_is_as_long_as_the_input(frames: int) -> None:
    assert len(marked(spoken()[:frames], "key")) == frames


def test_what_is_held_back_is_no_more_than_reported() -> None:
    marker, out = Watermarker("key"), 0
    for number in range(100):
        out += len(marker.process(spoken()[77 * number : 77 * (number + 1)]))
        assert 77 * (number + 1) - out <= marker.delay_frames <= 0.022 * RATE_HZ


def test_digital_silence_stays_digital_silence() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    said = spoken()[RATE_HZ : 3 * RATE_HZ]
    heard = marked(np.concatenate((silence, said, silence)), "key")
    reach = RATE_HZ // 1_000

    assert not marked(silence, "key").any()
    assert not heard[: RATE_HZ - reach].any()
    assert not heard[-RATE_HZ + reach :].any()


@pytest.mark.parametrize("voice", ["en-us", "en-gb+f2", "de", "en-gb+whisper"])
def test_the_sound_is_far_louder_than_what_is_different_about_it(voice: str) -> None:
    said = spoken(voice)

    assert snr_db(said, marked(said, "key")) >= 26


def test_the_same_key_makes_the_same_mark_and_another_one_another() -> None:
    said = spoken()[:RATE_HZ]

    assert np.array_equal(marked(said, "key"), marked(said, "key"))
    assert not np.array_equal(marked(said, "key"), marked(said, "another"))


def test_every_channel_is_marked_like_one_alone() -> None:
    said = spoken()[: 2 * RATE_HZ]
    both = np.stack((said, 0.5 * said[::-1]), axis=1).astype(np.float32)
    heard = in_pieces(both, [1_000, 30_000], channels=2)

    assert heard.shape == both.shape
    assert np.array_equal(heard[:, 0], in_pieces(both[:, 0], []))
    assert np.array_equal(heard[:, 1], in_pieces(both[:, 1], []))


def test_pieces_that_are_marked_apart_bear_one_pattern() -> None:
    said, piece = spoken()[: 9 * RATE_HZ], RATE_HZ // 2
    apart, anew = list[Samples](), list[Samples]()
    for start in range(0, len(said), piece):
        for parts, at_s in ((apart, start / RATE_HZ), (anew, 0.0)):
            marker = Watermarker("key", RATE_HZ, start_s=at_s)
            parts += [marker.process(said[start : start + piece]), marker.flush()]

    assert detect(np.concatenate(apart), RATE_HZ, "key").is_marked
    assert not detect(np.concatenate(anew), RATE_HZ, "key").is_marked


def test_after_the_end_another_run_can_begin() -> None:
    marker, said = Watermarker("key"), spoken()[:RATE_HZ]
    first = np.concatenate((marker.process(said), marker.flush()))

    assert np.array_equal(np.concatenate((marker.process(said), marker.flush())), first)
    assert len(marker.flush()) == 0


@pytest.mark.parametrize("rate_hz", [0, 7_999, 192_001])
def test_a_rate_that_has_no_room_for_a_mark_is_refused(rate_hz: int) -> None:
    with pytest.raises(InvalidInput, match="cannot be marked"):
        Watermarker("key", rate_hz)
