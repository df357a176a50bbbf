"""When each frame was heard: what is told is followed slowly, and a hole is seen."""

from __future__ import annotations

import random

import pytest

from voice_mcp.capture.timeline import FAR_S, LONGEST_HOLE_S, SURE_S, Timeline

RATE_HZ = 48_000
BLOCK = 480
BLOCK_S = BLOCK / RATE_HZ


def test_frames_that_come_on_time_are_laid_end_to_end() -> None:
    timeline = Timeline(RATE_HZ)
    for index in range(100):
        assert timeline.take(BLOCK, 7.0 + index * BLOCK_S) == 0
    assert timeline.at_s(0) == pytest.approx(7.0)
    assert timeline.at_s(24_000) == pytest.approx(7.5)
    assert timeline.end_s == pytest.approx(8.0)


def test_moments_that_are_off_by_milliseconds_make_no_jump_and_end_up_in_the_middle() -> None:
    timeline, source = Timeline(RATE_HZ), random.Random(1)
    before_s = None
    for index in range(3000):
        assert timeline.take(BLOCK, 1.0 + index * BLOCK_S + source.uniform(-0.008, 0.008)) == 0
        start_s = timeline.at_s(index * BLOCK)
        if before_s is not None:
            assert start_s - before_s == pytest.approx(BLOCK_S, abs=0.0001)
        before_s = start_s
    assert timeline.end_s == pytest.approx(1.0 + 3000 * BLOCK_S, abs=0.001)


@pytest.mark.parametrize("apart", [-0.0002, 0.0002])
def test_a_microphone_whose_clock_runs_apart_is_followed(apart: float) -> None:
    timeline, block_s = Timeline(RATE_HZ), BLOCK_S * (1 + apart)
    for index in range(60_000):
        assert timeline.take(BLOCK, index * block_s) == 0
    assert timeline.end_s == pytest.approx(60_000 * block_s, abs=0.002)


def test_a_first_block_that_was_held_up_is_made_up_for_as_soon_as_two_tell_otherwise() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.take(BLOCK, 5.4)  # heard at 5.0
    for index in range(1, 3):
        assert timeline.take(BLOCK, 5.0 + index * BLOCK_S) == 0
    assert timeline.end_s == pytest.approx(5.0 + 3 * BLOCK_S, abs=0.005)


def test_one_block_that_is_told_too_early_by_far_is_a_mistake() -> None:
    timeline = Timeline(RATE_HZ)
    for index in range(300):
        timeline.take(BLOCK, index * BLOCK_S - (0.4 if index == 100 else 0.0))
    assert timeline.end_s == pytest.approx(300 * BLOCK_S, abs=0.002)


def test_blocks_that_were_held_up_and_then_come_in_a_row_are_no_hole() -> None:
    timeline = Timeline(RATE_HZ)
    for index in range(50):
        timeline.take(BLOCK, index * BLOCK_S)
    for _ in range(50, 90):
        assert timeline.take(BLOCK, 0.9) == 0  # all of them told with the moment they came
    for index in range(90, 200):
        assert timeline.take(BLOCK, index * BLOCK_S) == 0
    assert timeline.end_s == pytest.approx(200 * BLOCK_S, abs=0.01)


def test_what_was_lost_without_a_word_is_a_hole_as_soon_as_it_is_sure() -> None:
    timeline, missing = Timeline(RATE_HZ), {}
    for index in range(250):
        late_s = 0.3 if index >= 100 else 0.0
        if frames := timeline.take(BLOCK, index * BLOCK_S + late_s):
            missing[index] = frames
    ((index, frames),) = missing.items()
    assert index == pytest.approx(100 + SURE_S / BLOCK_S, abs=1)
    assert frames == pytest.approx(0.3 * RATE_HZ, abs=2)
    assert timeline.end_s == pytest.approx(250 * BLOCK_S + 0.3, abs=0.001)


def test_a_loss_that_is_told_is_a_hole_at_once_however_small() -> None:
    timeline = Timeline(RATE_HZ)
    for index in range(100):
        timeline.take(BLOCK, index * BLOCK_S)
    assert timeline.take(BLOCK, 100 * BLOCK_S + 0.02, after_loss=True) == 960
    assert timeline.end_s == pytest.approx(101 * BLOCK_S + 0.02)


@pytest.mark.parametrize("is_told", [True, False])
def test_hours_in_which_a_process_was_stopped_are_no_hours_of_silence(is_told: bool) -> None:
    stopped_s, missing = 7_200.0, 0
    timeline = Timeline(RATE_HZ)
    for index in range(300):
        late_s = stopped_s if index >= 100 else 0.0
        missing += timeline.take(BLOCK, index * BLOCK_S + late_s, after_loss=is_told and index == 100)
    assert missing == LONGEST_HOLE_S * RATE_HZ
    assert timeline.end_s == pytest.approx(300 * BLOCK_S + stopped_s, abs=0.001)


def test_a_loss_that_is_told_and_took_no_time_fills_nothing() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.take(BLOCK, 0.0)
    assert timeline.take(BLOCK, BLOCK_S - 0.001, after_loss=True) == 0


def test_a_clock_that_is_off_by_less_than_a_hole_for_long_is_a_clock() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.take(BLOCK, 0.0)
    assert not any(timeline.take(BLOCK, index * BLOCK_S + FAR_S * 0.9) for index in range(1, 1000))
    assert timeline.end_s == pytest.approx(1000 * BLOCK_S + FAR_S * 0.9, abs=0.002)
