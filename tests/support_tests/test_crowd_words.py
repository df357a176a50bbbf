"""Who is heard in a recording of many, with gaps in it, and with what is left of those who were killed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.crowd import Said
from tests.support.crowd_words import RATE_HZ, SPEED, Messages
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest

pytestmark = pytest.mark.anyio

FIRST_WORD = round(0.055 * RATE_HZ)
PAUSE = round(0.025 * RATE_HZ)
SILENCE = bytes(2 * RATE_HZ // 20)


async def spoken(number: int) -> bytes:
    """The message of that number, as its sound."""
    request = SpeechRequest(Messages().text(number), "square", SPEED)
    return b"".join([block async for block in await ToneEngine().open(request)])


def with_gap(sound: bytes, frame: int, gap_frames: int, lost_frames: int = 0) -> bytes:
    return sound[: 2 * frame] + bytes(2 * gap_frames) + sound[2 * (frame + lost_frames) :]


async def test_messages_are_told_from_each_other() -> None:
    numbers = [0, 500, len(Messages()) - 1]
    recording = b"".join([await spoken(number) + SILENCE for number in numbers])
    assert Messages().heard(recording) == (numbers, 0)


@pytest.mark.parametrize("gap_s", [0.001, 0.0045, 0.02, 1.0])
@pytest.mark.parametrize("number", [3, 77, 301])
async def test_a_gap_in_a_word_changes_nothing(number: int, gap_s: float) -> None:
    sound = await spoken(number)
    for frame in range(30, FIRST_WORD + PAUSE + 1900, 97):
        torn = with_gap(sound, frame, round(gap_s * RATE_HZ))
        assert Messages().heard(torn) == ([number], 0), frame


@pytest.mark.parametrize("frame", [200, FIRST_WORD + PAUSE + 200])
@pytest.mark.parametrize("gap_frames", [0, 240])
async def test_a_word_without_one_of_its_periods_is_not_whole(frame: int, gap_frames: int) -> None:
    heard, loose = Messages().heard(with_gap(await spoken(7), frame, gap_frames, lost_frames=240))
    assert heard == []
    assert loose > 0


async def test_what_is_left_of_a_killed_message_does_not_take_the_next_one_with_it() -> None:
    rest, following = await spoken(11), await spoken(900)
    for frames in range(round(0.081 * RATE_HZ), len(rest) // 2, 53):
        heard, _ = Messages().heard(rest[: 2 * frames] + SILENCE + following)
        assert heard[-1:] == [900], frames


async def test_pitches_that_no_message_has_are_in_none() -> None:
    tone = np.where(np.arange(2 * FIRST_WORD) // 3 % 2, 4096, -4096).astype("<i2").tobytes()
    sound = await spoken(3)
    recording = tone[: 2 * FIRST_WORD] + bytes(2 * PAUSE) + sound[2 * (FIRST_WORD + PAUSE) :]
    heard, loose = Messages().heard(recording)
    assert (heard, loose) == ([], 2)


@pytest.mark.parametrize(
    ("status", "heard", "times", "as_told"),
    [
        ("completed", None, 1, True),
        ("completed", None, 0, False),
        ("completed", None, 2, False),
        ("interrupted", "", 0, True),
        ("interrupted", "", 1, False),
        ("interrupted", "ba", 0, False),
        (None, None, 0, False),
        (None, None, 1, False),
    ],
)
def test_what_is_told_of_a_message_is_held_against_what_was_heard(
    status: str | None, heard: str | None, times: int, as_told: bool
) -> None:
    said = Said(1, 1, status=status, heard=heard)
    assert said.is_as_told(times) is as_told
