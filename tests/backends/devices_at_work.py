"""What real sound libraries do with real ALSA configurations, step by step, in a process of its own.

    python -m tests.backends.devices_at_work STEPS

``STEPS`` is a JSON list; the answers come as one on standard output. What PortAudio loads stays out of pytest, and it
reads ALSA's configuration when it is loaded.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from voice_mcp.audio_process import load_backend
from voice_mcp.backends.sounddevice import SounddeviceBackend
from voice_mcp.codecs.conversion import Converter
from voice_mcp.errors import DeviceUnavailable
from voice_mcp.playback.device import Device
from voice_mcp.protocols import OutputBackend
from voice_mcp.types import PcmFormat

WAIT_S = 20.0
HELD_UP_S = 0.1
"""Longer than any device here holds."""


class Tape:
    """A ``FrameSource`` that is silent until it is told what to play, and after that."""

    def __init__(self) -> None:
        self.played = threading.Event()
        self.held_up_at: set[int] = set()
        """How many bytes are left when a request is held up."""
        self._never = threading.Event()
        self._rest = memoryview(b"")
        self._silence_bytes = 0

    def play(self, pcm: bytes, silence_bytes: int) -> None:
        self._silence_bytes = silence_bytes
        self._rest = memoryview(pcm)

    def render(self, out: memoryview) -> None:
        if len(self._rest) in self.held_up_at:
            self._never.wait(HELD_UP_S)
        block, self._rest = self._rest[: len(out)], self._rest[len(out) :]
        out[: len(block)] = block
        out[len(block) :] = bytes(len(out) - len(block))
        if self._silence_bytes and not self._rest:
            self._silence_bytes = max(0, self._silence_bytes - (len(out) - len(block)))
            if not self._silence_bytes:
                self.played.set()

    def take(self, most_bytes: int, timeout_s: float) -> bytes:
        raise NotImplementedError

    def underflow(self) -> None:
        """The listener notices."""

    def lost(self, reason: str) -> None:
        sys.stderr.write(f"lost: {reason}\n")


class AtWork:
    """One device for all steps.

    Args:
        fresh_s: How old PortAudio's list of devices may become.
    """

    def __init__(self, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._tape = Tape()
        self._device = Device(self._load, self._tape)

    def open(self, fmt: list[int], backends: list[str], device: str | None = None) -> Any:
        """What a device that is opened takes, and through which backend; or why it cannot be."""
        try:
            self._device.open(PcmFormat(*fmt), tuple(backends), device, None)
        except DeviceUnavailable as exc:
            return {"code": exc.code, "message": exc.message, "hint": exc.hint}
        return [self._device.backend, self._device.format.rate_hz, self._device.format.channels]

    def play(self, path: str, fmt: list[int], pan: float = 0.0, held_up: int = 0) -> bool:
        """Play a file of frames on what is open, and hold up so many requests; whether it took all of them in time."""
        takes = self._device.format
        converter = Converter(PcmFormat(*fmt), takes, pan)
        frames = converter.convert(Path(path).read_bytes()) + converter.flush()
        period_bytes = self._device.period_frames * takes.frame_bytes
        step = len(frames) // period_bytes // (held_up + 1) * period_bytes
        self._tape.held_up_at = {len(frames) - step * (index + 1) for index in range(held_up)}
        tail = takes.frames_in(self._device.latency_s + 0.2) + self._device.period_frames
        self._tape.play(frames, tail * takes.frame_bytes)
        return self._tape.played.wait(WAIT_S)

    def close(self) -> None:
        self._device.close()

    def devices(self, backend: str) -> list[str]:
        return self._device.devices(backend)

    def configure(self, text: str) -> None:
        """Another ALSA configuration; a file of its own, because ALSA looks only whether it is the same one."""
        path = Path(os.environ["ALSA_CONFIG_PATH"])
        other = path.with_suffix(".new")
        other.write_text(text)
        other.replace(path)

    def _load(self, name: str) -> OutputBackend:
        return SounddeviceBackend(self._fresh_s) if name == "sounddevice" else load_backend(name)


def main(steps: str) -> None:
    """Do what is asked, print what came of it."""
    (fresh_s, *todo), answers = json.loads(steps), []
    work = AtWork(fresh_s)
    for name, arguments in todo:
        answers.append(getattr(work, name)(**arguments))
    work.close()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
