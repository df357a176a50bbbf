"""What is handed on sooner than a quiet room: all that might be somebody."""

from __future__ import annotations

import math
import random
from array import array

import pytest

from tests.support.spoken import said, silence
from voice_mcp.capture.stir import STAYS_S, Stir
from voice_mcp.types import LISTENING_FORMAT, PcmFormat

FMT = LISTENING_FORMAT
BLOCK_S = 0.02


def noise(level: int, seconds: float) -> bytes:
    drawn = random.Random(level)
    return array("h", [round(drawn.gauss(0, level)) for _ in range(FMT.frames_in(seconds))]).tobytes()


def followed(stir: Stir, sound: bytes, fmt: PcmFormat = FMT) -> list[bool]:
    """Whether something stirred, after each block."""
    size = fmt.frames_in(BLOCK_S) * fmt.frame_bytes
    seen = []
    for at in range(0, len(sound), size):
        stir.add(sound[at : at + size], fmt)
        seen.append(stir.is_there)
    return seen


def mixed(sound: bytes, under: bytes) -> bytes:
    return array("h", [a + b for a, b in zip(array("h", sound), array("h", under), strict=False)]).tobytes()


@pytest.mark.parametrize("level", [0, 3, 30, 300])
def test_a_room_with_a_steady_noise_is_quiet_once_it_is_known(level: int) -> None:
    seen = followed(Stir(), noise(level, STAYS_S + 5))
    assert not any(seen[math.ceil((STAYS_S + 0.5) / BLOCK_S) :])


@pytest.mark.parametrize("level", [3, 30])
def test_somebody_who_speaks_stirs_within_a_tenth_of_a_second_and_until_after_the_last_word(level: int) -> None:
    stir = Stir()
    followed(stir, noise(level, STAYS_S + 1))
    assert not stir.is_there
    speech = said()
    seen = followed(stir, mixed(speech + silence(STAYS_S + 1), noise(level, 60)))
    began, over = seen.index(True) * BLOCK_S, FMT.seconds(FMT.frames(len(speech)))
    assert began <= 0.1
    stayed = len(seen) - 1 - seen[::-1].index(True)
    assert all(seen[seen.index(True) : stayed])
    assert stayed * BLOCK_S >= over + STAYS_S - 0.5


def test_either_channel_of_a_device_can_be_the_one_with_the_microphone() -> None:
    stereo = PcmFormat(48_000, 2)
    for channel in (0, 1):
        stir = Stir()
        followed(stir, bytes(round((STAYS_S + 1) * stereo.rate_hz) * stereo.frame_bytes), stereo)
        loud = array("h", [0, 0] * stereo.frames_in(0.1))
        loud[channel::2] = array("h", [9_000] * (len(loud) // 2))
        assert followed(stir, loud.tobytes(), stereo)[0]


def test_a_microphone_that_has_just_been_opened_stirs() -> None:
    assert Stir().is_there
