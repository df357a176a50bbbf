"""What is known of a request while its audio comes."""

from __future__ import annotations

import pytest

from voice_mcp.core.reception import LEAD_S, Reception
from voice_mcp.types import PcmFormat, WordMark

FORMAT = PcmFormat(1_000, 1)
TEXT = "one two three four"


def received(*arrivals: tuple[float, float]) -> Reception:
    """A reception of so many seconds each, at these times."""
    reception = Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT)
    for seconds, at_s in arrivals:
        reception.frames += FORMAT.frames_in(seconds)
        reception.came(seconds, at_s)
    return reception


def test_what_comes_evenly_at_twice_the_speed_of_speech_has_that_pace() -> None:
    reception = received(*((0.1, 3 + index / 20) for index in range(20)))

    assert reception.jitter.pace == pytest.approx(2.0)
    assert reception.jitter.reserve_s == pytest.approx(0.05)


def test_once_the_ear_sets_the_pace_nothing_more_is_learnt_of_the_sender() -> None:
    fast = [(0.1, index / 50) for index in range(20)]
    # Nobody reads on until there is room again, so from there on it comes at the pace of the ear.
    held_up = [(0.1, 3 + index / 10) for index in range(50)]
    reception = received(*fast, *held_up)

    assert LEAD_S < 2 - 0.2
    assert reception.jitter.pace == pytest.approx(5.0)
    assert reception.jitter.reserve_s == pytest.approx(0.02)


def test_while_nobody_reads_nothing_is_learnt_of_the_sender() -> None:
    reception = received(*((0.1, index / 20) for index in range(6)))
    for index in range(20):
        # The sentence before is still to be heard: there is room for this much only each 100 ms.
        reception.came(0.1, 0.35 + index / 10, unread_s=0.099)

    assert reception.jitter.pace == pytest.approx(2.0)
    assert reception.jitter.reserve_s == pytest.approx(0.05)


def test_whoever_reads_at_once_takes_a_moment_too_and_excuses_nobody() -> None:
    reception = Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT)
    for index in range(20):
        reception.came(0.1, index / 8, unread_s=0.001)

    assert reception.jitter.pace == pytest.approx(0.8)


def test_the_word_that_is_being_spoken_counts_as_not_spoken() -> None:
    reception = received((1.0, 0.0))
    reception.marks = (WordMark(0, 3, 0.0), WordMark(4, 3, 0.6), WordMark(8, 5, 0.9))

    assert TEXT[: reception.spoken_chars] == "one two"


def test_the_same_rendition_is_told_by_its_beginning() -> None:
    one = Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT, opening=b"abcdef")

    assert Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT, opening=b"abcdef").opens_like(one)
    assert Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT, opening=b"abcdefgh").opens_like(one)
    assert Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT, opening=b"ab").opens_like(one) is None
    assert Reception(TEXT, 1.0, asked_s=0.0, format=FORMAT, opening=b"ax").opens_like(one) is False
    assert Reception(TEXT, 1.0, asked_s=0.0, format=PcmFormat(8, 1), opening=b"abcdef").opens_like(one) is False
