"""Play a file of mono int16 frames through PortAudio and report how it went.

    python -m tests.support.play_sounddevice FILE RATE_HZ BLOCK_FRAMES LATENCY_MS PAD_FRAMES stop|abort

``PAD_FRAMES`` of silence follow the file before the stream is stopped; -1 pads with the stream's latency and a block.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.player_report import PlayerReport, Stopwatch

DEADLINE_S = 660.0


def main(file: str, rate_hz: int, block_frames: int, latency_ms: float, pad_frames: int, ending: str) -> None:
    """Play, stop, report."""
    report = PlayerReport("sounddevice")
    watch = Stopwatch()
    sys.modules["numpy"] = None  # type: ignore[assignment]
    import sounddevice

    report.import_ms = watch.ms()
    audio = memoryview(Path(file).read_bytes())
    done = threading.Event()
    position = 0
    size = len(audio)  # grows by the padding once the latency is known

    def fill(out: Any, frames: int, times: Any, status: Any) -> None:
        nonlocal position
        report.callback_s.append(time.perf_counter())
        report.callback_frames.append(frames)
        report.underflows += bool(status.output_underflow)
        block = audio[position : position + 2 * frames]
        out[: len(block)] = block
        out[len(block) :] = bytes(2 * frames - len(block))
        # Only once the last block has been taken whole is everything with the device.
        if position >= size:
            done.set()
        position += 2 * frames

    watch = Stopwatch()
    stream = sounddevice.RawOutputStream(
        rate_hz, block_frames, channels=1, dtype="int16", latency=latency_ms / 1000, callback=fill
    )
    report.open_ms = watch.ms()
    report.latency_ms = stream.latency * 1000
    size += 2 * (pad_frames if pad_frames >= 0 else round(stream.latency * rate_hz) + block_frames)
    gc.disable()
    report.started_s = time.perf_counter()
    watch = Stopwatch()
    stream.start()
    report.start_ms = watch.ms()
    if not done.wait(DEADLINE_S):
        raise TimeoutError("the device stopped taking frames")
    report.measure_memory()
    report.stop_called_s = time.perf_counter()
    watch = Stopwatch()
    stream.stop() if ending == "stop" else stream.abort()
    report.stop_ms = watch.ms()
    watch = Stopwatch()
    stream.close()
    report.close_ms = watch.ms()
    report.print()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
