"""No device: frames leave at the pace of a sound card, or so many times faster, and go nowhere."""

from __future__ import annotations

import math
import threading
import time

from voice_mcp.errors import DeviceUnavailable
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010
"""How much sound is asked for at a time, in seconds of sound."""


class NullBackend:
    """A device that keeps time and makes no sound, for machines without one and for tests.

    The name of the device is its pace: ``100x`` plays a hundred times faster than real time, no name in real time.
    Everything else stays as it is: sound leaves by periods of 10 ms of sound, in order, and where there is none in
    time there is a gap. A machine that cannot keep up plays as fast as it can.
    """

    name = "null"

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        return _Stream(fmt, 1.0 if device is None else _pace(device), source)

    def devices(self) -> list[str]:
        return ["null"]


class _Stream:
    """A thread that pulls one period at a time, on a schedule that does not drift: what came late is made up for.

    Args:
        fmt: The shape of the frames.
        pace: How many times faster than real time.
        source: What is pulled.
    """

    def __init__(self, fmt: PcmFormat, pace: float, source: FrameSource) -> None:
        self.format = fmt
        self.latency_s = PERIOD_S / pace  # of the wall clock, on which the period is heard that much sooner
        self.period_frames = fmt.frames_in(PERIOD_S)
        self._period_s = fmt.seconds(self.period_frames) / pace  # not the latency: 10 ms need not be whole frames
        self._block = bytearray(self.period_frames * fmt.frame_bytes)
        self._source = source
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="null-device", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._closed.wait(max(0.0, due - time.perf_counter())):
            self._source.render(memoryview(self._block))
            due += self._period_s


def _pace(device: str) -> float:
    """How many times faster than real time ``device`` plays.

    Raises:
        DeviceUnavailable: It does not say.
    """
    try:
        pace = float(device.removesuffix("x")) if device.endswith("x") else 0.0
    except ValueError:
        pace = 0.0
    if not 0 < pace < math.inf or PERIOD_S / pace > threading.TIMEOUT_MAX:
        raise DeviceUnavailable(
            f"There is no null device {device!r}.",
            hint="Set VOICEMODE_OUTPUT_DEVICE to a pace, a positive number followed by x such as 100x, or leave it "
            "empty for real time.",
        )
    return pace
