"""What a reference player tells about itself, as one JSON line on stdout.

No numpy here, nor in the players: they stand for the smallest process that can play.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class PlayerReport:
    """Times are ``perf_counter()`` seconds; fields that end in ``_ms`` are durations."""

    library: str
    import_ms: float = 0.0
    open_ms: float = 0.0
    start_ms: float = 0.0
    """How long the call that starts the stream takes."""
    latency_ms: float = 0.0
    """What the stream says of itself; 0 when it does not."""
    started_s: float = 0.0
    """When the stream was told to start."""
    stop_called_s: float = 0.0
    """When it was told to stop."""
    stop_ms: float = 0.0
    close_ms: float = 0.0
    underflows: int = 0
    """Callbacks that were told of an underflow."""
    rss_kib: int = 0
    pss_kib: int = 0
    callback_s: list[float] = field(default_factory=list)
    callback_frames: list[int] = field(default_factory=list)

    def measure_memory(self) -> None:
        """Take RSS and PSS now; nothing where the system does not tell."""
        rollup = Path("/proc/self/smaps_rollup")
        if not rollup.exists():
            return
        sizes = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
        self.rss_kib = int(sizes["Rss"].split()[0])
        self.pss_kib = int(sizes["Pss"].split()[0])

    def print(self) -> None:
        """Write the report where the parent reads it."""
        sys.stdout.write(json.dumps(asdict(self)) + "\n")
        sys.stdout.flush()


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()

    def ms(self) -> float:
        """So far."""
        return (time.perf_counter() - self._start_s) * 1000
