"""The device that keeps time and makes no sound."""

from __future__ import annotations

import pytest

from tests.backends.source import CountingSource
from voice_mcp.backends.null import PERIOD_S, NullBackend
from voice_mcp.errors import DeviceUnavailable
from voice_mcp.types import PcmFormat

WAIT_S = 10.0


class HeldSource(CountingSource):
    """Keeps the device waiting once."""

    def __init__(self, at_block: int, held_s: float, enough: int) -> None:
        super().__init__(enough)
        self._at_block = at_block
        self._held_s = held_s

    def render(self, out: memoryview) -> None:
        super().render(out)
        if len(self.asked_bytes) == self._at_block:
            self.is_lost.wait(self._held_s)


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


@pytest.mark.parametrize(("device", "pace"), [("100x", 100.0), ("2.5x", 2.5), ("0.5x", 0.5)])
def test_a_pace_for_a_name_is_how_many_times_faster_it_plays(device: str, pace: float) -> None:
    source = CountingSource(enough=20)
    stream = NullBackend().open(PcmFormat(24_000, 1), device, None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()
    since_start_s = [at_s - source.asked_at_s[0] for at_s in source.asked_at_s]

    assert stream.latency_s == PERIOD_S / pace
    assert set(source.asked_bytes) == {480}, "periods stay as long as they are at the pace of the ear"
    assert all(elapsed_s >= (index - 1) * PERIOD_S / pace for index, elapsed_s in enumerate(since_start_s))


def test_what_came_late_is_made_up_for() -> None:
    blocks, pace, held_s = 1000, 40, 0.5
    source = HeldSource(at_block=10, held_s=held_s, enough=blocks)
    stream = NullBackend().open(PcmFormat(24_000, 1), f"{pace}x", None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()
    elapsed_s = source.asked_at_s[blocks - 1] - source.asked_at_s[0]
    scheduled_s = (blocks - 1) * PERIOD_S / pace

    assert elapsed_s < scheduled_s + held_s, "the pause was added to the schedule"


@pytest.mark.parametrize("device", ["", "x", "0x", "-2x", "100", "fastx", "infx", "nanx", "1e-400x", "Speakers"])
def test_any_other_name_is_refused_with_what_is_allowed(device: str) -> None:
    source = CountingSource()
    with pytest.raises(DeviceUnavailable, match=r"no null device") as caught:
        NullBackend().open(PcmFormat(24_000, 1), device, None, source)
    assert "100x" in caught.value.hint
    assert not source.asked_bytes


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
