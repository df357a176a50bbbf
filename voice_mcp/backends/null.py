"""No device, real time: frames leave at the pace of a sound card and go nowhere."""

from __future__ import annotations

import threading
import time

from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010


class NullBackend:
    """A device that keeps time and makes no sound, for machines without one and for tests."""

    name = "null"

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        return _Stream(fmt, source)

    def devices(self) -> list[str]:
        return ["null"]


class _Stream:
    """A thread that pulls one period at a time, on a schedule that does not drift."""

    latency_s = PERIOD_S

    def __init__(self, fmt: PcmFormat, source: FrameSource) -> None:
        self.format = fmt
        self.period_frames = fmt.frames_in(PERIOD_S)
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
            due += PERIOD_S
