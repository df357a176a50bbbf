"""Every engine of this machine by itself: first sound, real-time factor, memory. A process each, no sound card.

``python -m benchmarks.engines`` measures those that are installed and prints a table; for the others it says what
brings them. Weights are those that the settings name (``VOICEMODE_KOKORO_MODEL`` and the like). Linux only: /proc.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.figures import Figure, median
from benchmarks.memory import rss_mb
from voice_mcp.errors import EngineError, SettingsError
from voice_mcp.parts import build_engines
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import load_settings
from voice_mcp.types import SpeechRequest

ENGINES = ("espeak", "kokoro", "pocket", "piper")
TEXTS = (
    "All tests are green, and the change is on its branch.",
    "I have looked at the three places where the port is read. Two of them are right; the third one is not.",
    "Shall I go on with the next file, or do you want to look at this one first?",
)
ROUNDS = 4
LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine took. Times in seconds, memory in MB."""

    load_s: float
    first_s: float
    """From the request to the first block, of an engine that is loaded; median."""
    factor: float
    """Seconds of work for a second of sound, the first round left out."""
    rss_mb: float
    """Of the process, with Python and all it has loaded."""
    sound_s: float


async def measure() -> list[Figure]:
    """The figures of those that are installed."""
    figures: list[Figure] = []
    for name in ENGINES:
        found = in_a_process(name)
        if isinstance(found, str):
            print(f"{name}: {found}", file=sys.stderr)
            continue
        detail = f"median of {len(TEXTS) * ROUNDS}"
        figures += [
            Figure(f"{name}: request to first sound", 1000 * found.first_s, "ms", detail=detail),
            Figure(f"{name}: work for a second of sound", found.factor, "s", detail=f"{found.sound_s:.0f} s of sound"),
            Figure(f"{name}: memory of its process", found.rss_mb, "MB"),
            Figure(f"{name}: loading", found.load_s, "s"),
        ]
    return figures


def in_a_process(name: str) -> Measured | str:
    """Measure one engine; a sentence where it is not installed, or cannot speak."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", "--one", name],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=True,
    )
    answer = json.loads(done.stdout)
    return answer["problem"] if "problem" in answer else Measured(**answer)


async def one(name: str) -> dict[str, object]:
    """The figures of one engine, in this process."""
    try:
        (engine,) = build_engines(load_settings(given={"tts_engine": name}).settings)
        began_s = time.perf_counter()
        await engine.check()
        load_s = time.perf_counter() - began_s
    except EngineError as exc:
        return {"problem": f"not installed: {exc.advice}"}
    except SettingsError as exc:
        return {"problem": exc.advice}
    firsts: list[float] = []
    work_s = sound_s = 0.0
    for number in range(ROUNDS + 1):
        for text in TEXTS:
            first_s, all_s, seconds = await said(engine, text)
            if number:
                firsts.append(first_s)
                work_s, sound_s = work_s + all_s, sound_s + seconds
    rss = rss_mb(os.getpid())
    await engine.aclose()
    return {
        "load_s": load_s,
        "first_s": median(firsts),
        "factor": work_s / sound_s,
        "rss_mb": rss,
        "sound_s": sound_s,
    }


async def said(engine: SpeechEngine, text: str) -> tuple[float, float, float]:
    """Seconds to the first block, to the last one, and of sound."""
    began_s = time.perf_counter()
    stream = await engine.open(SpeechRequest(text))
    first_s, size_bytes = 0.0, 0
    async for block in stream:
        first_s = first_s or time.perf_counter() - began_s
        size_bytes += len(block)
    fmt = stream.pcm_format or engine.expected_format
    await stream.aclose()
    return first_s, time.perf_counter() - began_s, fmt.seconds(fmt.frames(size_bytes))


def main() -> None:
    """Print the table, or the figures of one engine as JSON."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(asyncio.run(one(sys.argv[2]))))
        return
    print("| engine | first sound, ms | real-time factor | memory, MB | load, s |\n|---|---|---|---|---|")
    for name in ENGINES:
        found = in_a_process(name)
        if isinstance(found, str):
            print(f"| {name} | {found} | | | |")
        else:
            numbers = f"{1000 * found.first_s:.1f} | {found.factor:.3f} | {found.rss_mb:.0f} | {found.load_s:.2f}"
            print(f"| {name} | {numbers} |")


if __name__ == "__main__":
    main()
