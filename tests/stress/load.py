"""What the stress tests share: how hard they press, what should have been heard, and what a process holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import child_pids
from voice_mcp.audio.wav import WAV_HEADER_BYTES
from voice_mcp.core.script import Script
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest

FACTOR = float(os.environ.get("VOICEMCP_STRESS", "1"))
"""How many times more than in the everyday suite: VOICEMCP_STRESS=10."""
QUICK = {
    "VOICEMODE_AUDIO_OUTPUT": "null",
    "VOICEMODE_OUTPUT_DEVICE": "100x",
    # 60 s of sound are 0.6 s at this pace: what 2 s of sound are to a listener, more or less.
    "VOICEMODE_STREAM_MAX_BUFFER": "60",
    "VOICEMODE_SAVE_AUDIO": "true",
}
"""A server that speaks a hundred times faster than real time and keeps what it said."""


def times(count: int) -> int:
    """``count`` of something, or as many more as were asked for."""
    return max(1, round(count * FACTOR))


def numbered(number: int, *, words: int = 3) -> str:
    """A message that no other number has, and that is longer or shorter by how many words are asked for."""
    return f"Number {number:05d}{' goes on' * words} and ends."


async def expected(message: str, speed: float = 1.0) -> bytes:
    """The frames of ``message`` as the tone engine speaks it, line by line."""
    engine, script, frames = ToneEngine(), Script.of(message), bytearray()
    while (line := await script.next_line()) is not None:
        async for block in await engine.open(SpeechRequest(line.text, speed=speed)):
            frames += block
    return bytes(frames)


def recorded(path: Path) -> bytes:
    """The frames of a WAV recording."""
    return path.read_bytes()[WAV_HEADER_BYTES:]


def recordings(base_dir: Path) -> list[Path]:
    """Every recording below a data root, each conversation's in order."""
    return sorted((base_dir / "audio").glob("*/*_tts.wav"))


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a process holds (Linux: /proc)."""

    threads: int
    descriptors: int
    children: frozenset[int]
    rss_kib: int

    @classmethod
    def of(cls, pid: int) -> Vitals:
        """Look at process ``pid``."""
        root = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
        return cls(
            threads=int(status["Threads"]),
            descriptors=len(list((root / "fd").iterdir())),
            children=frozenset(child_pids(pid)),
            rss_kib=int(status["VmRSS"].split()[0]),
        )

    @classmethod
    def of_this_process(cls) -> Vitals:
        """Look at this one."""
        return cls.of(os.getpid())


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but want a core each."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def trend(values: Sequence[float]) -> float:
    """How much the median of the last quarter lies above that of the quarter in the middle."""
    quarter = max(1, len(values) // 4)
    middle, last = values[len(values) // 2 :][:quarter], values[-quarter:]
    return sorted(last)[len(last) // 2] - sorted(middle)[len(middle) // 2]
