"""Play a file of mono int16 frames through miniaudio's PulseAudio backend and report how it went.

    python -m tests.support.play_miniaudio FILE RATE_HZ BUFFER_MS PAD_FRAMES

``PAD_FRAMES`` of silence follow the file before the device is stopped; -1 pads with twice the buffer.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

from tests.support.player_report import PlayerReport, Stopwatch

DEADLINE_S = 660.0


def main(file: str, rate_hz: int, buffer_ms: int, pad_frames: int) -> None:
    """Play, stop, report."""
    report = PlayerReport("miniaudio")
    watch = Stopwatch()
    sys.modules["numpy"] = None  # type: ignore[assignment]
    import miniaudio

    report.import_ms = watch.ms()
    audio = Path(file).read_bytes()
    pad = pad_frames if pad_frames >= 0 else 2 * rate_hz * buffer_ms // 1000
    done = threading.Event()

    def frames() -> Generator[bytes, int, None]:
        position = 0
        wanted = yield b""
        while True:
            report.callback_s.append(time.perf_counter())
            report.callback_frames.append(wanted)
            if position >= len(audio) + 2 * pad:
                done.set()
            block = audio[position : position + 2 * wanted]
            position += 2 * wanted
            wanted = yield block + bytes(2 * wanted - len(block))

    watch = Stopwatch()
    device = miniaudio.PlaybackDevice(
        output_format=miniaudio.SampleFormat.SIGNED16,
        nchannels=1,
        sample_rate=rate_hz,
        buffersize_msec=buffer_ms,
        backends=[miniaudio.Backend.PULSEAUDIO],
        app_name="reference player",
    )
    report.open_ms = watch.ms()
    source = frames()
    next(source)
    gc.disable()
    report.started_s = time.perf_counter()
    watch = Stopwatch()
    device.start(source)
    report.start_ms = watch.ms()
    if not done.wait(DEADLINE_S):
        raise TimeoutError("the device stopped taking frames")
    report.measure_memory()
    report.stop_called_s = time.perf_counter()
    watch = Stopwatch()
    device.stop()
    report.stop_ms = watch.ms()
    watch = Stopwatch()
    device.close()
    report.close_ms = watch.ms()
    report.print()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
