"""Where speech of which nothing is known can be taken up again."""

from __future__ import annotations

import pytest

from tests.support.pattern import pattern
from voice_mcp.audio.lull import FARTHEST_S, NEAREST_S, STEP_S, lull_before_end
from voice_mcp.types import PcmFormat

MONO, STEREO = PcmFormat(24_000, 1), PcmFormat(48_000, 2)


def loud(seconds: float, fmt: PcmFormat) -> bytes:
    return pattern(fmt.frames_in(seconds) * fmt.channels)


def silent(seconds: float, fmt: PcmFormat) -> bytes:
    return bytes(fmt.frames_in(seconds) * fmt.frame_bytes)


def seconds_back(frames: bytes, fmt: PcmFormat) -> float:
    return fmt.seconds(lull_before_end(frames, fmt))


@pytest.mark.parametrize("fmt", [MONO, STEREO])
@pytest.mark.parametrize("pause_s", [0.04, 0.08, 0.3])
@pytest.mark.parametrize("word_s", [0.25, 0.5, 0.9])
def test_it_is_in_the_pause_before_the_word(fmt: PcmFormat, pause_s: float, word_s: float) -> None:
    heard = loud(1, fmt) + silent(pause_s, fmt) + loud(word_s, fmt)
    assert word_s <= seconds_back(heard, fmt) <= word_s + pause_s


def test_of_two_pauses_it_is_the_nearer_one() -> None:
    heard = loud(0.3, MONO) + silent(0.1, MONO) + loud(0.3, MONO) + silent(0.1, MONO) + loud(0.3, MONO)
    assert 0.3 <= seconds_back(heard, MONO) <= 0.4


def test_where_it_has_been_quiet_for_a_while_nothing_is_heard_again() -> None:
    assert seconds_back(loud(1, MONO) + silent(0.2, MONO), MONO) == 0


def test_a_consonant_that_closes_the_mouth_in_the_middle_of_the_word_is_no_pause() -> None:
    heard = loud(0.5, MONO) + silent(0.06, MONO) + loud(0.3, MONO) + silent(0.05, MONO) + loud(0.1, MONO)
    assert 0.45 <= seconds_back(heard, MONO) <= 0.51


def test_without_any_pause_it_is_a_moment_before() -> None:
    assert NEAREST_S <= seconds_back(loud(3, MONO), MONO) <= FARTHEST_S + 2 * STEP_S


@pytest.mark.parametrize("heard_s", [0.0, 0.005, 0.1, 0.2])
def test_where_little_was_heard_all_of_it_is_heard_again(heard_s: float) -> None:
    assert seconds_back(loud(heard_s, MONO), MONO) == (heard_s if heard_s >= STEP_S else 0)
