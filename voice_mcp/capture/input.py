"""The input of the audio process that listens: the microphone in front, the outbox behind.

Thread: commands come from the main thread, frames in the device's own one, reports go out in a third. What may wait for
the sound system (it can hang for ever) is left to whoever does the device work, in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from threading import Lock

from voice_mcp.capture.outbox import TICK_S, Outbox
from voice_mcp.errors import MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.pipe.process import DoDeviceWork, Send
from voice_mcp.protocols import InputBackend, InputStream
from voice_mcp.types import PcmFormat

SILENT_DEVICE_S = 2.0
"""A microphone that gives nothing for this long, not even silence, is gone."""
EARLY_S = 10.0
"""How much is kept of what a microphone gives before it says that it is open."""

LoadBackend = Callable[[str], InputBackend]


@dataclass(frozen=True, slots=True)
class Order:
    """What a CAPTURE command asks for."""

    number: int
    backends: tuple[str, ...]
    """In the order in which they are tried."""
    device: str | None


class Input:
    """At most one open microphone.

    Args:
        load_backend: Gives a backend by its name; each is kept, for it knows what it has open and when it last looked.
        send: Sends one report to the server; called from one thread only.
        do_device_work: Has done what it is given: one after the other, in the order given.
    """

    def __init__(self, load_backend: LoadBackend, send: Send, do_device_work: DoDeviceWork) -> None:
        self._load_backend = cache(load_backend)
        self._do_device_work = do_device_work
        self._ear: _Ear | None = None
        self._stream: InputStream | None = None
        self._outbox = Outbox(send, self._tick)

    # --- commands: the main thread -----------------------------------------------------------------------------

    def capture(self, order: Order) -> None:
        """Open a microphone; reports tell what comes of it."""
        self._do_device_work(partial(self._open, order))

    def release(self, number: int) -> None:
        """Close the microphone of capture ``number``; a report tells when it is closed."""
        self._do_device_work(partial(self._release, number))

    def list_devices(self, backends: tuple[str, ...]) -> None:
        """Report the input devices of each backend."""
        self._do_device_work(partial(self._list, backends))

    def close(self) -> None:
        """Let go of the microphone, and send the last reports."""
        self._close()
        self._outbox.close()

    # --- device work -------------------------------------------------------------------------------------------

    def _open(self, order: Order) -> None:
        self._close()
        ear = _Ear(order.number, self._outbox)
        problems: list[MicrophoneUnavailable] = []
        for name in order.backends:
            try:
                stream = self._load_backend(name).open(order.device, ear)
            except MicrophoneUnavailable as exc:
                problems.append(exc)
                continue
            self._stream, self._ear = stream, ear
            ear.begin(name, stream.format, stream.latency_s)
            return
        busy = [problem for problem in problems if isinstance(problem, MicrophoneBusy)]
        hint = (busy or problems)[0].hint
        message = " ".join(problem.message for problem in problems)
        self._outbox.put("failed", n=order.number, message=message, hint=hint, busy=bool(busy))

    def _release(self, number: int) -> None:
        if self._ear is not None and self._ear.number == number:
            self._close()
        self._outbox.put("released", n=number)

    def _close(self) -> None:
        stream, self._stream, self._ear = self._stream, None, None
        if stream is not None:
            stream.close()

    def _list(self, backends: tuple[str, ...]) -> None:
        for name in backends:
            try:
                names, problem = self._load_backend(name).devices(), None
            except MicrophoneUnavailable as exc:
                names, problem = [], exc.advice
            self._outbox.put("devices", backend=name, names=names, problem=problem)
        self._outbox.put("devices_end")

    # --- the thread that reports -------------------------------------------------------------------------------

    def _tick(self) -> None:
        ear = self._ear
        if ear is not None:
            ear.tick()


class _Ear:
    """A ``FrameSink`` for one capture, until its microphone is lost."""

    def __init__(self, number: int, outbox: Outbox) -> None:
        self.number = number
        self._outbox = outbox
        self._lock = Lock()
        self._fmt: PcmFormat | None = None
        self._early: list[tuple[bytes, float]] = []
        self._began_s = time.perf_counter()
        self._after_loss = False
        self._is_lost = False
        self._silent_ticks = 0

    def begin(self, backend: str, fmt: PcmFormat, latency_s: float) -> None:
        """Its microphone is open; some frames may have come already."""
        with self._lock:
            self._outbox.put(
                "opened",
                n=self.number,
                backend=backend,
                rate_hz=fmt.rate_hz,
                channels=fmt.channels,
                latency_s=round(latency_s, 4),
            )
            self._fmt = fmt
            for frames, heard_at_s in self._early:
                self._put(fmt, frames, heard_at_s)
            self._early.clear()

    def tick(self) -> None:
        """There was nothing to report for a while. Steps are counted, not time: this process may have been stopped."""
        self._silent_ticks += 1
        if self._silent_ticks * TICK_S >= SILENT_DEVICE_S:
            self.lost("the microphone gives nothing any more")

    # --- the device's thread -----------------------------------------------------------------------------------

    def take(self, frames: bytes, heard_at_s: float) -> None:
        self._silent_ticks = 0
        with self._lock:
            if self._is_lost:
                return
            if self._fmt is not None:
                self._put(self._fmt, frames, heard_at_s)
            elif heard_at_s - self._began_s < EARLY_S:
                self._early.append((frames, heard_at_s))

    def overflowed(self) -> None:
        self._after_loss = True

    def lost(self, reason: str) -> None:
        with self._lock:
            told, self._is_lost = self._is_lost, True
        if not told:
            self._outbox.put("lost", n=self.number, message=reason)

    def _put(self, fmt: PcmFormat, frames: bytes, heard_at_s: float) -> None:
        has_room = self._outbox.put_frames(self.number, fmt, frames, heard_at_s, after_loss=self._after_loss)
        self._after_loss = not has_room
