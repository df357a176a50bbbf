"""Joints: nothing is heard of them, and everything of what they join."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples.sounds import RATE_HZ, cut, noise, second_differences, tone
from voice_mcp.errors import InvalidInput
from voice_mcp.samples.convert import Samples
from voice_mcp.samples.joint import Joiner, crossfaded, likeness

LONGEST = RATE_HZ // 100


def joined(pieces: Sequence[Sequence[Samples]], overlap_frames: int = 0) -> Samples:
    joiner = Joiner(RATE_HZ)
    out: list[Samples] = []
    for number, chunks in enumerate(pieces):
        if number:
            out.append(joiner.next_piece(overlap_frames))
        out += [joiner.process(chunk) for chunk in chunks]
    return np.concatenate([*out, joiner.flush()])


def resting(samples: Samples, rest_s: float = 0.02) -> Samples:
    """With silence on either side, as sentences are spoken."""
    silence = np.zeros(round(rest_s * RATE_HZ), np.float32)
    return np.concatenate((silence, samples, silence))


@given(st.lists(st.integers(0, RATE_HZ), max_size=20))
@settings(deadline=None, max_examples=30)
def test_chunks_of_one_piece_pass_bit_for_bit(cuts: list[int]) -> None:
    said = tone(220)

    assert np.array_equal(joined([cut(said, cuts)]), said)


def test_the_first_beginning_and_the_last_end_are_no_joints() -> None:
    said = tone(220, phase=np.pi / 2)

    assert np.array_equal(joined([[said]]), said)


@pytest.mark.parametrize("hz", [110, 220, 440, 997])
@pytest.mark.parametrize("phase", [0.0, 0.7, np.pi / 2])
def test_a_joint_of_two_sounding_pieces_bends_no_more_than_they_do(hz: int, phase: float) -> None:
    said, other = tone(hz, 0.5), tone(1.3 * hz, 0.5, phase=phase)
    inside = max(second_differences(said).max(), second_differences(other).max())
    heard = joined([[said], [other]])

    assert second_differences(heard).max() <= inside * (1 + 1e-6)
    assert second_differences(np.concatenate((said, other))).max() > 1.5 * inside


def test_pieces_that_follow_each_other_are_as_long_as_both_and_faded_for_ten_milliseconds_at_most() -> None:
    said, other = tone(110, 0.5), noise(0.5)
    heard = joined([[said], [other]])

    assert len(heard) == len(said) + len(other)
    assert np.array_equal(heard[: len(said) - LONGEST], said[:-LONGEST])
    assert np.array_equal(heard[len(said) + LONGEST :], other[LONGEST:])


def test_the_fade_is_as_short_as_the_sound_allows() -> None:
    def touched(said: Samples) -> int:
        return int((joined([[said], [resting(said)]])[: len(said)] != said).sum())

    assert touched(tone(3_000, 0.5)) < touched(tone(220, 0.5)) < touched(tone(110, 0.5)) <= LONGEST


def test_pieces_at_rest_are_only_put_together() -> None:
    said, other = resting(tone(220)), resting(noise())

    assert np.array_equal(joined([[said], [other]]), np.concatenate((said, other)))


def test_only_the_side_that_is_not_at_rest_is_touched() -> None:
    said, other = resting(tone(220)), noise()
    heard = joined([[said], [other]])

    assert np.array_equal(heard[: len(said)], said)
    assert not np.array_equal(heard[len(said) :], other)


def test_a_joint_in_silence_stays_silent() -> None:
    silence = np.zeros(1_000, np.float32)

    assert not joined([[silence], [silence], [silence]]).any()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 700), max_size=6), min_size=1, max_size=5),
    st.sampled_from([0, 50, LONGEST]),
    st.sampled_from([1, 30, 239, 241, 700]),
)
def test_the_output_does_not_depend_on_how_pieces_were_cut(cuts: list[list[int]], overlap: int, frames: int) -> None:
    pieces = [noise(seed=number)[:frames] for number in range(len(cuts))]
    pieces_cut = [cut(piece, places) for piece, places in zip(pieces, cuts, strict=True)]

    assert np.array_equal(joined(pieces_cut, overlap), joined([[piece] for piece in pieces], overlap))


def test_never_more_than_ten_milliseconds_are_held() -> None:
    joiner, given_frames, out = Joiner(RATE_HZ), 0, 0
    for piece in range(3):
        for chunk in cut(noise(seed=piece), range(0, RATE_HZ, 77)):
            given_frames, out = given_frames + len(chunk), out + len(joiner.process(chunk))
            assert given_frames - out <= LONGEST
        out += len(joiner.next_piece())
        assert out == given_frames


def test_what_is_said_twice_is_heard_once() -> None:
    said = tone(220, 1.0, phase=0.4)
    first, second = said[: RATE_HZ // 2], said[RATE_HZ // 2 - LONGEST :]

    assert np.array_equal(joined([[first], [second]], LONGEST), said)


def test_the_same_said_a_little_differently_goes_over_without_a_click() -> None:
    said = tone(220, 1.0, phase=0.4)
    again = (0.9 * said).astype(np.float32)
    heard = joined([[said[: RATE_HZ // 2]], [again[RATE_HZ // 2 - LONGEST :]]], LONGEST)

    assert len(heard) == len(said)
    assert second_differences(heard).max() <= second_differences(said).max() * (1 + 1e-6)


def test_sounds_with_nothing_in_common_keep_their_power() -> None:
    old, new = noise(1.0, seed=1), noise(1.0, seed=2)
    middle = crossfaded(old, new)[RATE_HZ * 9 // 20 : RATE_HZ * 11 // 20]

    assert likeness(old, new) < 0.05
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.1, rel=0.05)


def test_sounds_that_are_alike_keep_their_amplitude() -> None:
    old = noise(1.0)
    new = (0.999 * old).astype(np.float32)

    assert likeness(old, new) == pytest.approx(1.0)
    assert np.allclose(crossfaded(old, new), old, atol=1e-3)


def test_channels_fade_together() -> None:
    both = np.stack((tone(220, 0.2), tone(330, 0.2)), axis=1)
    joiner = Joiner(RATE_HZ, 2)
    heard = np.concatenate([joiner.process(both), joiner.next_piece(), joiner.process(both), joiner.flush()])

    assert heard.shape == (2 * len(both), 2)
    assert np.array_equal(heard[: len(both) - LONGEST], both[:-LONGEST])


@pytest.mark.parametrize("overlap_frames", [-1, LONGEST + 1])
def test_a_longer_overlap_than_is_held_is_refused(overlap_frames: int) -> None:
    with pytest.raises(InvalidInput, match="cannot overlap"):
        Joiner(RATE_HZ).next_piece(overlap_frames)
