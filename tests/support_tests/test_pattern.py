import numpy as np
import pytest

from tests.support.pattern import QUIETEST, _window_hashes, judge, pattern, spoken

REFERENCE = pattern(48_000)


def silence(frames: int) -> bytes:
    return bytes(2 * frames)


def part(start: int, end: int) -> bytes:
    return REFERENCE[2 * start : 2 * end]


def faded(start: int, end: int) -> bytes:
    samples = np.frombuffer(part(start, end), "<i2")
    ramp = np.linspace(0.9, 0.1, len(samples))
    return (samples * ramp).astype("<i2").tobytes()


def test_the_pattern_is_never_near_zero() -> None:
    assert np.abs(np.frombuffer(REFERENCE, "<i2").astype(int)).min() >= QUIETEST


def test_the_pattern_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert pattern(1000, seed=3) == pattern(1000, seed=3)
    assert pattern(1000, seed=3) != pattern(1000, seed=4)


def test_no_eight_frames_of_ten_minutes_occur_twice() -> None:
    hashes = _window_hashes(np.frombuffer(pattern(10 * 60 * 24_000), "<i2"))
    hashes.sort()
    assert not (hashes[1:] == hashes[:-1]).any()


def test_every_text_has_a_voice_of_its_own() -> None:
    assert len(spoken("Hello.")) == 2 * 6 * 1440
    assert spoken("Hello.") != spoken("Hullo.")


def test_a_whole_capture_with_silence_around_it_is_exact() -> None:
    verdict = judge(silence(100) + REFERENCE + silence(50), REFERENCE)
    assert verdict.exact
    assert (verdict.found, verdict.leading_silence, verdict.trailing_silence) == (48_000, 100, 50)
    assert (verdict.missing, verdict.repeated, verdict.altered, verdict.gaps) == (0, 0, 0, ())


def test_a_stereo_capture_is_judged_by_frames() -> None:
    verdict = judge(silence(20) + part(0, 10_000) + silence(200) + part(10_002, 48_000), REFERENCE, channels=2)
    assert (verdict.found, verdict.missing, verdict.leading_silence) == (23_999, 1, 10)
    assert [(gap.at_frame, gap.frames) for gap in verdict.gaps] == [(5_000, 100)]


def test_a_gap_without_loss_is_found_where_it_is() -> None:
    verdict = judge(silence(7) + part(0, 5_000) + silence(240) + part(5_000, 48_000), REFERENCE)
    assert not verdict.exact
    (gap,) = verdict.gaps
    assert (gap.at_frame, gap.captured_frame, gap.frames) == (5_000, 5_007, 240)
    assert (verdict.missing, verdict.repeated, verdict.altered, verdict.gap_frames) == (0, 0, 0, 240)


def test_a_run_shorter_than_a_window_between_two_gaps_is_found() -> None:
    verdict = judge(part(0, 500) + silence(9) + part(500, 503) + silence(9) + part(503, 48_000), REFERENCE)
    assert (verdict.found, verdict.altered, len(verdict.gaps)) == (48_000, 0, 2)


def test_dropped_frames_are_missing() -> None:
    verdict = judge(part(0, 5_000) + part(5_240, 48_000), REFERENCE)
    assert (verdict.found, verdict.missing, verdict.altered, verdict.exact) == (47_760, 240, 0, False)


def test_a_lost_tail_is_missing_and_the_end_says_where() -> None:
    verdict = judge(part(0, 47_000) + silence(2_000), REFERENCE)
    assert (verdict.missing, verdict.end_frame, verdict.trailing_silence) == (1_000, 47_000, 2_000)


def test_a_lost_beginning_is_missing_and_the_start_says_where() -> None:
    verdict = judge(part(300, 48_000), REFERENCE)
    assert (verdict.missing, verdict.start_frame) == (300, 300)


def test_frames_played_twice_are_repeated() -> None:
    verdict = judge(part(0, 5_000) + part(4_760, 48_000), REFERENCE)
    assert (verdict.found, verdict.repeated, verdict.missing, verdict.altered) == (48_000, 240, 0, 0)


def test_parts_in_the_wrong_order_are_not_exact_although_nothing_is_missing() -> None:
    verdict = judge(part(0, 1_000) + part(2_000, 3_000) + part(1_000, 2_000) + part(3_000, 48_000), REFERENCE)
    assert (verdict.found, verdict.missing, verdict.repeated, verdict.exact) == (48_000, 0, 0, False)


def test_fades_at_a_gap_are_altered_and_not_missing() -> None:
    capture = part(0, 5_000) + faded(5_000, 5_120) + silence(480) + faded(5_120, 5_240)[::-1] + part(5_240, 48_000)
    verdict = judge(capture, REFERENCE)
    assert (verdict.altered, verdict.missing, verdict.repeated) == (240, 0, 0)
    assert [gap.frames for gap in verdict.gaps] == [480]


def test_a_fade_at_the_end_of_an_interrupted_capture_is_altered() -> None:
    verdict = judge(part(0, 5_000) + faded(5_000, 5_120) + silence(100), REFERENCE)
    assert (verdict.end_frame, verdict.altered, verdict.missing) == (5_000, 120, 48_000 - 5_120)


def test_foreign_frames_are_altered_and_nothing_is_missing() -> None:
    verdict = judge(part(0, 5_000) + pattern(300, seed=9) + part(5_000, 48_000), REFERENCE)
    assert (verdict.found, verdict.altered, verdict.missing) == (48_000, 300, 0)


def test_another_sound_altogether_has_nothing_of_the_reference() -> None:
    verdict = judge(pattern(48_000, seed=9), REFERENCE)
    assert (verdict.found, verdict.altered, verdict.exact) == (0, 48_000, False)


def test_silence_alone_has_nothing_of_the_reference() -> None:
    verdict = judge(silence(1_000), REFERENCE)
    assert (verdict.found, verdict.missing, verdict.leading_silence, verdict.exact) == (0, 48_000, 1_000, False)


def test_a_capture_shorter_than_a_window_is_judged() -> None:
    verdict = judge(part(0, 3), REFERENCE)
    assert (verdict.found, verdict.missing) == (3, 47_997)


def test_a_reference_with_a_zero_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="zero frame"):
        judge(REFERENCE, REFERENCE + silence(1))
