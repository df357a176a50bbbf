"""What was handed over and not heard: nothing of it is ever lost, and no more is kept than has to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.pattern import pattern
from voice_mcp.playback.ledger import Ledger
from voice_mcp.types import PcmFormat

MONO = PcmFormat(24_000, 1)
STEREO = PcmFormat(24_000, 2)
MARGIN = 5


def block(start: int, frames: int, fmt: PcmFormat = MONO) -> bytes:
    return pattern(100_000)[start * fmt.frame_bytes : (start + frames) * fmt.frame_bytes]


def filled(*frames: int, margin: int = 0, fmt: PcmFormat = MONO) -> Ledger:
    """A ledger with blocks of these sizes, none of them sent."""
    ledger, start = Ledger(fmt, margin), 0
    for count in frames:
        ledger.add(block(start, count, fmt))
        start += count
    return ledger


def rest_of(ledger: Ledger) -> bytes:
    """Everything that is still to be sent."""
    return b"".join(iter(ledger.take, None))


def test_blocks_are_sent_in_the_order_in_which_they_came() -> None:
    ledger = filled(10, 20, 30)
    assert [ledger.take(), ledger.take()] == [block(0, 10), block(10, 20)]
    ledger.add(block(60, 5))
    assert rest_of(ledger) == block(30, 35)
    assert ledger.take() is None


def test_after_a_loss_the_sound_goes_on_with_the_frame_at_which_it_stopped_being_heard() -> None:
    ledger = filled(10, 20, 30)
    ledger.take()
    ledger.take()
    ledger.note(left_frames=25, heard_frames=17)
    assert ledger.rewind() == 17
    assert rest_of(ledger) == block(17, 43)


def test_frames_of_several_channels_are_not_torn() -> None:
    ledger = filled(10, 20, fmt=STEREO)
    rest_of(ledger)
    ledger.note(13, 13)
    ledger.rewind()
    assert rest_of(ledger) == block(13, 17, STEREO)


def test_the_margin_is_given_once_more() -> None:
    ledger = filled(10, 20, 30, margin=MARGIN)
    rest_of(ledger)
    ledger.note(40, 31)
    assert ledger.rewind() == 31 - MARGIN
    assert rest_of(ledger) == block(26, 34)


def test_a_margin_does_not_reach_before_the_beginning() -> None:
    ledger = filled(10, margin=MARGIN)
    rest_of(ledger)
    ledger.note(8, 3)
    assert ledger.rewind() == 0
    assert rest_of(ledger) == block(0, 10)


def test_what_was_heard_is_forgotten_and_what_was_not_is_kept() -> None:
    ledger = filled(10, 20, 30)
    rest_of(ledger)
    ledger.note(60, 30)
    assert (ledger.kept_frames, ledger.unheard_frames) == (30, 30)
    ledger.note(60, 60)
    assert (ledger.kept_frames, ledger.unheard_frames) == (0, 0)
    assert ledger.rewind() == 60
    assert ledger.take() is None


def test_an_old_position_does_not_take_anything_back() -> None:
    ledger = filled(10, 20)
    rest_of(ledger)
    ledger.note(20, 15)
    ledger.note(5, 2)
    assert (ledger.left_frames, ledger.heard_frames) == (20, 15)


def test_a_second_loss_without_anything_heard_in_between_repeats_the_same() -> None:
    ledger = filled(10, 20, margin=MARGIN)
    rest_of(ledger)
    ledger.note(25, 18)
    first = ledger.rewind(), rest_of(ledger)
    ledger.note(16, 13)  # what the margin gave was heard before
    assert (ledger.rewind(), rest_of(ledger)) == first


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    losses=st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1), st.floats(0, 1)), max_size=8),
    margin=st.integers(0, 50),
)
def test_however_often_a_device_is_lost_every_frame_is_heard_and_none_is_heard_long_again(
    sizes: list[int], losses: list[tuple[int, float, float]], margin: int
) -> None:
    ledger = filled(*sizes, margin=margin)
    heard = bytearray()
    at = 0
    for blocks, left_share, heard_share in losses:
        given_now = b"".join(part for part in (ledger.take() for _ in range(blocks)) if part is not None)
        left = at + round(MONO.frames(len(given_now)) * left_share)
        reached = at + round((left - at) * heard_share)
        heard[2 * at :] = given_now[: 2 * (reached - at)] or heard[2 * at :]
        ledger.note(left, reached)
        assert ledger.kept_frames <= sum(sizes) - max(0, ledger.heard_frames - margin) + max(sizes)
        at = ledger.rewind()
        assert max(0, ledger.heard_frames - margin) == at
    heard[2 * at :] = rest_of(ledger)
    assert bytes(heard) == block(0, sum(sizes))
