"""How a microphone is doing: level, clipping, only zeros."""

from __future__ import annotations

import math
from array import array

import pytest

from voice_mcp.capture.gauge import Gauge
from voice_mcp.types import LISTENING_FORMAT, CaptureCondition

PIECE = 320
A_SECOND = LISTENING_FORMAT.rate_hz // PIECE


def tone(amplitude: float) -> bytes:
    return array("h", [round(amplitude * math.sin(2 * math.pi * index / 32)) for index in range(PIECE)]).tobytes()


def after(*pieces: bytes) -> CaptureCondition:
    gauge = Gauge()
    for piece in pieces:
        gauge.add(piece, piece)
    return gauge.condition


def test_before_anything_was_heard_there_is_silence() -> None:
    assert after() == CaptureCondition()


def test_the_level_is_that_of_the_last_second() -> None:
    condition = after(*[tone(32_000)] * A_SECOND, *[tone(3276.8)] * A_SECOND)
    assert condition.peak == pytest.approx(0.1, abs=0.001)
    assert condition.rms_db == pytest.approx(-20 - 3.01, abs=0.01)
    assert condition.clipped_share == 0


def test_nothing_but_zeros_is_counted_until_there_is_something_else() -> None:
    zeros = bytes(2 * PIECE)
    assert after(*[zeros] * A_SECOND).zeros_s == pytest.approx(1.0)
    assert after(*[zeros] * A_SECOND, tone(1)).zeros_s == 0
    assert after(tone(1), *[zeros] * 10).zeros_s == pytest.approx(0.2)
    assert after(*[zeros] * 10).rms_db == -120


def test_the_quietest_noise_there_can_be_is_not_only_zeros() -> None:
    assert after(array("h", [0] * (PIECE - 1) + [-1]).tobytes()).zeros_s == 0


@pytest.mark.parametrize("value", [32_767, -32_767, -32_768])
def test_samples_at_full_scale_are_clipped(value: int) -> None:
    piece = array("h", [value] * 80 + [100] * (PIECE - 80)).tobytes()
    condition = after(*[piece] * A_SECOND)
    assert condition.clipped_share == pytest.approx(0.25)
    assert condition.peak == pytest.approx(1.0, abs=0.0001)


def test_bytes_that_only_look_like_full_scale_across_two_samples_are_not() -> None:
    assert after(array("h", [-256, 127] * (PIECE // 2)).tobytes()).clipped_share == 0


def test_zeros_and_clipping_are_judged_by_what_the_device_gave() -> None:
    gauge = Gauge()
    gauge.add(array("h", [32_767] * 960).tobytes(), tone(20_000))
    assert gauge.condition.clipped_share == 1
    assert gauge.condition.peak == pytest.approx(20_000 / 32_768)
