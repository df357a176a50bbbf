"""The device the audio process holds: opened in the order asked for, kept while it fits, let go when idle."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import RLock

from voice_mcp.errors import DeviceBusy, DeviceUnavailable
from voice_mcp.protocols import FrameSource, OutputBackend, OutputStream
from voice_mcp.types import PcmFormat

LoadBackend = Callable[[str], OutputBackend]


class Device:
    """At most one open output stream.

    Thread: any but the device's own; closing may wait for that one to return.

    Args:
        load_backend: Gives a backend by its name; each is kept, for it knows what it has open and when it last looked.
        source: What the device pulls from.
    """

    def __init__(self, load_backend: LoadBackend, source: FrameSource) -> None:
        self._load_backend = cache(load_backend)
        self._source = source
        self._lock = RLock()
        self._stream: OutputStream | None = None
        self._asked: PcmFormat | None = None
        self._key: tuple[object, ...] | None = None
        self.backend = ""
        """The backend of the stream that is open, or was last."""
        self.latency_s = 0.0
        """Seconds between a frame's leaving and its being heard."""
        self.period_frames = 1
        self.format = PcmFormat(1, 1)
        """What the stream pulls that is open, or was last: what was asked for, or the nearest the device takes."""

    @property
    def keeps_time(self) -> bool:
        """Whether frames leave at the pace of the ear; a file takes them as fast as they come."""
        return self.backend != "file"

    def open(self, fmt: PcmFormat, backends: tuple[str, ...], name: str | None, path: str | None) -> None:
        """See that a fitting device is open: one that was asked for this format, or that takes it.

        Raises:
            DeviceBusy: One of ``backends`` found it held by another program, and no other could open one.
            DeviceUnavailable: None of ``backends`` can open one; the message says why, for each.
        """
        key = (backends, name)
        with self._lock:
            fits = self._key == key and fmt in (self._asked, self.format)
            if self._stream is not None and fits and self.keeps_time:
                return
            self.close()
            self._key, self._asked = key, fmt  # before it opens: it may be lost in that very moment
            problems: list[DeviceUnavailable] = []
            for backend in backends:
                try:
                    stream = self._load_backend(backend).open(fmt, name, path, self._source)
                except DeviceUnavailable as exc:
                    problems.append(exc)
                    continue
                self._stream, self.backend, self.format = stream, backend, stream.format
                self.latency_s, self.period_frames = stream.latency_s, stream.period_frames
                return
        raise _summary(problems)

    def devices(self, backend: str) -> list[str]:
        """The output devices of a backend, the default first.

        Raises:
            DeviceUnavailable: Its library is missing, or cannot tell.
        """
        with self._lock:
            return self._load_backend(backend).devices()

    def distrust(self) -> None:
        """Never again play through the stream that is open. May be called from the device's own thread."""
        # No lock: whoever holds it may be waiting for that very thread. At worst a good stream is opened anew.
        self._key = None

    def close(self) -> None:
        """Let go of the device, at once."""
        with self._lock:
            stream, self._stream, self._key = self._stream, None, None
            if stream is not None:
                stream.close()

    def close_if(self, condition: Callable[[], bool], *, patient: bool = True) -> None:
        """Let go of the device if ``condition`` holds, judged while nobody can open one.

        Args:
            condition: Asked only if a device is open.
            patient: Whether to wait for whoever is opening or closing one; otherwise that leaves things as they are.
        """
        if self._lock.acquire(blocking=patient):
            try:
                if self._stream is not None and condition():
                    self.close()
            finally:
                self._lock.release()


def _summary(problems: list[DeviceUnavailable]) -> DeviceUnavailable:
    """One error of all: a device that is only held is what to tell of first, for it may be free soon."""
    kind, first = DeviceUnavailable, problems[0]
    for problem in problems:
        if isinstance(problem, DeviceBusy):
            kind, first = DeviceBusy, problem
            break
    return kind(" ".join(problem.message for problem in problems), hint=first.hint)
