"""What was heard is found again by when it was heard."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.tape import LATELY_S, Tape
from voice_mcp.types import LISTENING_FORMAT, CapturedSound

OPENED_S = 100.0


def ramp(start: int, frames: int) -> bytes:
    return array("h", ((start + index) % 30_000 for index in range(frames))).tobytes()


def recorded(blocks: list[int], tape: Tape | None = None) -> Tape:
    """A tape on which every frame is its own number."""
    tape, done = tape or Tape(), 0
    for frames in blocks:
        tape.add(CapturedSound(ramp(done, frames), OPENED_S + LISTENING_FORMAT.seconds(done)))
        done += frames
    return tape


def test_a_frame_is_found_by_when_it_was_heard() -> None:
    tape = recorded([1_600] * 10)

    assert tape.frame_at(OPENED_S + 0.5) == 8_000
    assert tape.moment(8_000) == OPENED_S + 0.5
    assert tape.frame_at(OPENED_S - 3) == 0


def test_without_a_mark_only_the_last_moment_is_remembered() -> None:
    tape = recorded([1_600] * 600)

    kept = LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(tape.read(0))))
    assert LATELY_S <= kept < LATELY_S + 3


@given(blocks=st.lists(st.integers(1, 4_000), min_size=1, max_size=60), mark=st.floats(0, 1), data=st.data())
def test_from_a_mark_on_nothing_is_forgotten_and_the_moment_before_it_neither(
    blocks: list[int], mark: float, data: st.DataObject
) -> None:
    marked_at = data.draw(st.integers(1, len(blocks)))
    tape = recorded(blocks[:marked_at])
    frame = round(mark * tape.end)
    still_there = tape.end - LISTENING_FORMAT.frames(len(tape.read(0)))
    tape.mark(frame)
    done = tape.end
    for frames in blocks[marked_at:]:
        tape.add(CapturedSound(ramp(done, frames), OPENED_S + LISTENING_FORMAT.seconds(done)))
        done += frames

    start = max(still_there, frame - LISTENING_FORMAT.frames_in(LATELY_S), 0)
    assert tape.read(start) == ramp(start, sum(blocks) - start)


def test_what_is_asked_for_beyond_the_end_is_what_there_is() -> None:
    tape = recorded([100])

    assert tape.read(50, 400) == ramp(50, 50)
    assert tape.read(200) == b""


def test_what_is_only_filled_in_is_told_from_what_was_heard() -> None:
    tape = recorded([100])
    tape.add(CapturedSound(bytes(100), OPENED_S + 100 / 16_000, lost="unplugged"))
    tape.add(CapturedSound(ramp(150, 100), OPENED_S + 150 / 16_000))

    assert list(tape.heard(0, 250)) == [ramp(0, 100), ramp(150, 100)]
    assert list(tape.heard(20, 60)) == [ramp(20, 40)]
    assert list(tape.heard(120, 140)) == []
    assert list(tape.heard(140, 200)) == [ramp(150, 50)]
    assert list(tape.heard(200, 250)) == [ramp(200, 50)]
    assert tape.lost_s == 50 / 16_000


def test_a_frame_that_so_much_was_heard_after_is_found_on_either_side_of_a_gap() -> None:
    tape = recorded([100])
    tape.add(CapturedSound(bytes(100), OPENED_S + 100 / 16_000, lost="unplugged"))
    tape.add(CapturedSound(ramp(150, 100), OPENED_S + 150 / 16_000))

    assert tape.after_heard(0, 60) == 60
    assert tape.after_heard(0, 100) == 100, "what ends with the gap ends before it"
    assert tape.after_heard(0, 101) == 151
    assert tape.after_heard(120, 10) == 160, "of a gap that is over already only the rest counts"
    assert tape.after_heard(150, 10) == 160


def test_moments_are_those_of_what_was_heard_last() -> None:
    tape = recorded([1_600])
    # The first block was told late by 0.4 s, as a device does that was just opened.
    tape.add(CapturedSound(ramp(1_600, 1_600), OPENED_S + 0.1 - 0.4))

    assert tape.moment(1_600) == OPENED_S + 0.1 - 0.4
    assert tape.frame_at(OPENED_S - 0.4) == 0
    assert tape.frame_at(OPENED_S) == 6_400


def test_what_is_forgotten_is_known_by_its_first_frame_that_is_left() -> None:
    tape = recorded([1_600] * 600)

    assert tape.read(0) == tape.read(tape.first)
    assert LISTENING_FORMAT.frames(len(tape.read(tape.first))) == tape.end - tape.first
