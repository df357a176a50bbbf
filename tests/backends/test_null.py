"""The device that keeps time and makes no sound."""

from __future__ import annotations

import pytest

from tests.backends.source import CountingSource
from voice_mcp.backends.null import PERIOD_S, NullBackend
from voice_mcp.types import PcmFormat

WAIT_S = 10.0


@pytest.mark.parametrize("fmt", [PcmFormat(8000, 1), PcmFormat(24_000, 1), PcmFormat(48_000, 2), PcmFormat(22_050, 1)])
def test_it_asks_for_10_ms_of_whole_frames_at_a_time(fmt: PcmFormat) -> None:
    source = CountingSource(enough=3)
    stream = NullBackend().open(fmt, None, None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()

    assert set(source.asked_bytes) == {stream.period_frames * fmt.frame_bytes}
    assert stream.period_frames == pytest.approx(0.010 * fmt.rate_hz, abs=0.5)
    assert stream.latency_s == PERIOD_S


def test_frames_never_leave_before_their_time() -> None:
    source = CountingSource(enough=20)
    stream = NullBackend().open(PcmFormat(24_000, 1), None, None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()
    since_start_s = [at_s - source.asked_at_s[0] for at_s in source.asked_at_s]

    # The first may have been asked for late, so the others are judged with one period of grace.
    assert all(elapsed_s >= (index - 1) * PERIOD_S for index, elapsed_s in enumerate(since_start_s))


def test_a_closed_device_asks_for_nothing_more() -> None:
    source = CountingSource()
    stream = NullBackend().open(PcmFormat(24_000, 1), None, None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()
    asked = len(source.asked_bytes)

    assert not source.is_lost.wait(3 * PERIOD_S), "closing is no loss"
    assert len(source.asked_bytes) == asked


def test_it_is_the_one_device_there_is() -> None:
    assert NullBackend().devices() == ["null"]
