"""Ten thousand calls in one server process: what it holds at the end, and at the beginning."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.memory import rss_mb

CALLS, QUICK_CALLS = 10_000, 1_000
LOOKS = 40
WARM_SHARE = 0.5
"""Memory is judged over the second half: garbage in cycles waits for Python's first full collection, which comes after
some four thousand calls, and until then the process grows."""
ENV = {
    "VOICEMODE_TTS_ENGINE": "tone",
    "VOICEMODE_TTS_SPEED": "4",
    "VOICEMODE_AUDIO_OUTPUT": "null",
    "VOICEMODE_OUTPUT_DEVICE": "100x",
    "VOICEMODE_STREAM_MAX_BUFFER": "60",
}


async def measure(*, quick: bool = False) -> list[Figure]:
    """The figures of one server."""
    from tests.support.stdio import StdioServer

    calls = QUICK_CALLS if quick else CALLS
    looks: list[tuple[int, float, float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with StdioServer(Path(folder), ENV) as server:
            await server.initialize()
            await server.answer(server.begin_speaking("Hi."))
            audio_process = await server.audio_process()
            began_s = time.perf_counter()
            for call in range(calls + 1):
                answer = await server.answer(server.begin_speaking(f"Number {call:05d} ends."))
                if answer["result"]["structuredContent"]["status"] != "completed":
                    raise RuntimeError(f"call {call} failed: {answer}")
                server.lines.clear()
                if call % (calls // LOOKS) == 0:
                    fds = _descriptors(server.process.pid) + _descriptors(audio_process)
                    looks.append((call, rss_mb(server.process.pid), rss_mb(audio_process), fds))
            took_s = time.perf_counter() - began_s
            server.close_input()
            if await server.exit_code() != 0:
                print(server.errors, file=sys.stderr)
    warm = [look for look in looks if look[0] >= WARM_SHARE * calls]
    early = [look for look in looks if look not in warm]
    detail = f"from call {warm[0][0]} to {calls}"
    return [
        Figure("server, growth per 1,000 calls", _growth_kb(warm, 1), "kB", 64, detail),
        Figure("audio process, growth per 1,000 calls", _growth_kb(warm, 2), "kB", 16, detail),
        Figure(
            "descriptors, both processes, more than before",
            min(look[3] for look in warm) - min(look[3] for look in early),
            "",
            0,
            f"{min(look[3] for look in early)} and {min(look[3] for look in warm)}, the least of each half",
        ),
        Figure("calls per second, one after the other", calls / took_s, "/s", None, f"{took_s:.0f} s in all"),
    ]


def _growth_kb(looks: list[tuple[int, float, float, int]], column: int) -> float:
    """The slope of the straight line through what was seen, in kB per 1,000 calls."""
    xs, ys = [look[0] / 1_000 for look in looks], [float(look[column]) * 1_024 for look in looks]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    below = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / below


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


if __name__ == "__main__":
    from benchmarks.figures import table

    print(table(asyncio.run(measure(quick="--quick" in sys.argv))))
