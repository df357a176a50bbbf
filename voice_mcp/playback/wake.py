"""Silence for a device that was just opened: many swallow what comes while they wake up, and with it the first word."""

from __future__ import annotations

from collections.abc import Callable

from voice_mcp.protocols import FrameSource, OutputBackend, OutputStream
from voice_mcp.types import PcmFormat


class Wake:
    """How much silence a device still gets. It is counted in what the device takes, from its opening.

    Thread: not safe by itself; ``is_over`` excepted, which only the device's thread needs, everything is device work.
    """

    def __init__(self) -> None:
        self._is_new = False
        self._left_s = 0.0

    def noticing(self, load_backend: Callable[[str], OutputBackend]) -> Callable[[str], OutputBackend]:
        """The same loader, whose backends let it be noticed here when they open a device."""
        return lambda name: _NoticedBackend(load_backend(name), self._notice)

    def begin(self, wake_s: float) -> bool:
        """A device is open. If it was opened just now, and not kept from before, it gets ``wake_s`` seconds.

        Returns:
            Whether it was opened just now.
        """
        is_new, self._is_new = self._is_new, False
        if is_new:
            self._left_s = wake_s
        return is_new

    def is_over(self, taken_s: float) -> bool:
        """Whether the device is awake; if not, the ``taken_s`` seconds it now asks for are silence."""
        if self._left_s <= 0:
            return True
        self._left_s -= taken_s
        return False

    def _notice(self) -> None:
        self._is_new = True


class _NoticedBackend:
    """A backend, and somebody who is told when it opens something."""

    def __init__(self, backend: OutputBackend, notice: Callable[[], None]) -> None:
        self.name = backend.name
        self._backend = backend
        self._notice = notice

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        stream = self._backend.open(fmt, device, path, source)
        self._notice()
        return stream

    def devices(self) -> list[str]:
        return self._backend.devices()
