"""A device that runs dry and says nothing of it: what is counted is what it played without having been given it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from voice_mcp.playback.output import Output, Utterance
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

WAIT_S = 10.0
MONO = PcmFormat(8000, 1)
PERIOD_S = 0.01
LATENCY_S = 0.03
HELD_UP_S = 0.2
ONE_SECOND = bytes(range(1, 251)) * 64


class MuteStream:
    """A device with a thread and three periods of its own, that takes up to three at once when it was held up.

    It is held up for ``HELD_UP_S`` before its ``held_up_at``-th look at what it holds.
    """

    def __init__(self, fmt: PcmFormat, source: FrameSource, held_up_at: int | None) -> None:
        self.format = fmt
        self.latency_s = LATENCY_S
        self.period_frames = fmt.frames_in(PERIOD_S)
        self.dry_s: list[float] = []
        self._source = source
        self._held_up_at = held_up_at
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mute-device", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        block = bytearray(self.period_frames * self.format.frame_bytes)
        held_s, looked_s, looks = LATENCY_S, time.perf_counter(), 0  # of silence, which it begins with
        while not self._closed.wait(HELD_UP_S if looks == self._held_up_at else PERIOD_S / 2):
            now_s = time.perf_counter()
            held_s -= now_s - looked_s
            looked_s, looks = now_s, looks + 1
            if held_s < 0:
                self.dry_s.append(-held_s)
                held_s = 0.0
            while held_s + PERIOD_S <= LATENCY_S:
                self._source.render(memoryview(block))
                held_s += PERIOD_S


class MuteBackend:
    """Opens such a device."""

    name = "mute"
    held_up_at: int | None = None
    stream: MuteStream | None = None

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        self.stream = MuteStream(fmt, source, self.held_up_at)
        return self.stream

    def devices(self) -> list[str]:
        return ["mute"]


@pytest.fixture
def backend() -> MuteBackend:
    return MuteBackend()


@pytest.fixture
def reports() -> SimpleQueue[dict[str, Any]]:
    return SimpleQueue()


@pytest.fixture
def output(backend: MuteBackend, reports: SimpleQueue[dict[str, Any]]) -> Iterator[Output]:
    output = Output(lambda name: backend, reports.put)
    yield output
    output.close()


def speak(output: Output, reports: SimpleQueue[dict[str, Any]]) -> list[dict[str, Any]]:
    """Play a second of sound; everything that was reported of it."""
    output.begin(Utterance(1, MONO, ("mute",), None, None, BufferPolicy(start_s=0.01)))
    output.push(ONE_SECOND)
    output.finish(1)
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["event"] != "ended":
        seen.append(reports.get(timeout=WAIT_S))
    return seen


def test_a_gap_the_device_keeps_to_itself_is_counted_with_its_length(
    backend: MuteBackend, output: Output, reports: SimpleQueue[dict[str, Any]]
) -> None:
    backend.held_up_at = 100
    seen = speak(output, reports)

    assert backend.stream is not None
    gaps_s = [report["gap_s"] for report in seen if report["event"] == "underrun"]
    # A busy machine may hold it up once more: a gap while it is new, or a very short one, is left out when in doubt.
    assert 1 <= len(gaps_s) == seen[-1]["underruns"] <= len(backend.stream.dry_s)
    assert max(gaps_s) == pytest.approx(max(backend.stream.dry_s), abs=PERIOD_S)


def test_a_device_that_is_never_held_up_has_no_gap(
    backend: MuteBackend, output: Output, reports: SimpleQueue[dict[str, Any]]
) -> None:
    seen = speak(output, reports)

    assert backend.stream is not None
    assert seen[-1]["underruns"] <= len(backend.stream.dry_s)
