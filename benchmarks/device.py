"""How small the device's buffer may be: gaps at the card by period and latency, idle and with every core busy."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.figures import Figure, quantile
from tests.support.pattern import judge, pattern
from tests.support.pulse import PulseCard

RATE_HZ = 24_000
SECONDS = 5
PLAYERS: Sequence[tuple[str, str, tuple[object, ...]]] = (
    ("sounddevice 10/20 ms", "play_sounddevice", (240, 20, -1, "abort")),
    ("sounddevice 10/30 ms", "play_sounddevice", (240, 30, -1, "abort")),
    ("sounddevice 10/40 ms", "play_sounddevice", (240, 40, -1, "abort")),
    ("sounddevice 20/60 ms", "play_sounddevice", (480, 60, -1, "abort")),
    ("miniaudio 10 ms", "play_miniaudio", (10, -1)),
    ("miniaudio 20 ms", "play_miniaudio", (20, -1)),
)


async def measure() -> list[Figure]:
    """Play the pattern with each, under each load."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    reference = pattern(SECONDS * RATE_HZ)
    figures = []
    with tempfile.NamedTemporaryFile() as file, PulseCard(RATE_HZ) as card:
        file.write(reference)
        file.flush()
        for name, module, arguments in PLAYERS:
            for busy in (0, os.cpu_count() or 1):
                with _busy(busy):
                    report = _play(card, module, file.name, arguments)
                verdict = judge(card.captured(), reference)
                calls = report["callback_s"]
                between_ms = [1000 * (after - before) for before, after in zip(calls, calls[1:], strict=False)]
                detail = (
                    f"{busy} busy processes; {verdict.missing} frames missing; "
                    f"pulls every {quantile(between_ms, 0.5):.0f} ms, worst {max(between_ms):.0f} ms; "
                    f"RSS {report['rss_kib'] / 1024:.0f} MB"
                )
                figures.append(Figure(f"gaps in {SECONDS} s, {name}", len(verdict.gaps), "", None, detail))
    return figures


def _play(card: PulseCard, module: str, file: str, arguments: tuple[object, ...]) -> dict[str, Any]:
    card.clear()
    command = [sys.executable, "-m", f"tests.support.{module}", file, str(RATE_HZ), *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **card.env}, capture_output=True, check=True, text=True, timeout=60
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but take a core each."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
