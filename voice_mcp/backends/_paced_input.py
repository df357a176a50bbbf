"""Frames that come at the pace of a microphone without one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from voice_mcp.protocols import FrameSink
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010


class PacedInput:
    """A thread that hands over one period at a time, on a schedule that does not drift: what came late is made up for.

    Args:
        fmt: The shape of the frames.
        read: The next so many frames; fewer where there are no more, and silence follows.
        sink: What is filled.
    """

    latency_s = PERIOD_S

    def __init__(self, fmt: PcmFormat, read: Callable[[int], bytes], sink: FrameSink) -> None:
        self.format = fmt
        self._read = read
        self._sink = sink
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paced-microphone", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        fmt, start_s, given_frames = self.format, time.perf_counter(), 0
        period_frames = fmt.frames_in(PERIOD_S)
        while True:
            heard_s = start_s + fmt.seconds(given_frames)
            given_frames += period_frames
            due_s = start_s + fmt.seconds(given_frames)  # when the last of them has been heard
            if self._closed.wait(max(0.0, due_s - time.perf_counter())):
                return
            frames = self._read(period_frames)
            self._sink.take(frames.ljust(period_frames * fmt.frame_bytes, b"\0"), heard_s)
