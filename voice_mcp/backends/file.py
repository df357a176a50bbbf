"""A WAV file instead of a device, or nothing at all: no frame is waited for."""

from __future__ import annotations

import threading
from pathlib import Path

from voice_mcp.audio.wav import GrowingWav
from voice_mcp.errors import DeviceUnavailable, StorageError
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

BLOCK_BYTES = 1 << 16


class FileBackend:
    """Where the words go when there is no sound device, or when somebody asked for files."""

    name = "file"

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        return _Stream(fmt, Path(path) if path is not None else None, source)

    def devices(self) -> list[str]:
        return ["file"]


class _Stream:
    """A thread that takes whatever comes as soon as it comes, and writes it if there is a place for it."""

    latency_s = 0.0
    period_frames = 1

    def __init__(self, fmt: PcmFormat, path: Path | None, source: FrameSource) -> None:
        try:
            self._wav = GrowingWav(path, fmt) if path is not None else None
        except StorageError as exc:
            raise DeviceUnavailable(exc.message, hint=exc.hint) from exc
        self.format = fmt
        self._source = source
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="file-device", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        if self._wav is not None:
            self._wav.close()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                frames = self._source.take(BLOCK_BYTES, timeout_s=0.05)
                if self._wav is not None:
                    self._wav.append(frames)
        except StorageError as exc:
            self._source.lost(exc.message)
