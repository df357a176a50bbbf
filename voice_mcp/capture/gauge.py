"""How a microphone is doing: what tells a dead one from a silent room, and one that is turned up too far."""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from operator import mul

from voice_mcp.types import BYTES_PER_SAMPLE, LISTENING_FORMAT, CaptureCondition

WINDOW_S = 1.0
"""What levels are judged by."""
FULL_SCALE = 32_768
SILENCE_DB = -120.0
_CLIPPED = (32_767, -32_767, -32_768)
_CLIPPED_BYTES = tuple(value.to_bytes(BYTES_PER_SAMPLE, "little", signed=True) for value in _CLIPPED)


@dataclass(frozen=True, slots=True)
class _Block:
    duration_s: float
    peak: int
    squares: int
    samples: int
    clipped: int
    given: int


class Gauge:
    """Looks at everything a microphone gives; costs 0.2 % of a core.

    Zeros and clipping are judged by what the device gave, for another rate blurs both; levels by what is passed on.
    """

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque()
        self._held_s = 0.0
        self._zeros_s = 0.0

    def add(self, given: bytes, frames: bytes) -> None:
        """Look at the next piece.

        Args:
            given: As the device gave it.
            frames: What became of it in ``LISTENING_FORMAT``; may be a few frames late.
        """
        duration_s = LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(frames)))
        self._zeros_s = self._zeros_s + duration_s if _is_zero(given) else 0.0
        samples = array("h", frames)
        self._blocks.append(
            _Block(
                duration_s,
                peak=max(max(samples), -min(samples)) if samples else 0,
                squares=sum(map(mul, samples, samples)),
                samples=len(samples),
                clipped=_clipped(given),
                given=len(given) // BYTES_PER_SAMPLE,
            )
        )
        self._held_s += duration_s
        while self._held_s - self._blocks[0].duration_s >= WINDOW_S:
            self._held_s -= self._blocks.popleft().duration_s

    @property
    def condition(self) -> CaptureCondition:
        """Of the last second."""
        blocks = self._blocks
        samples, given = sum(block.samples for block in blocks), sum(block.given for block in blocks)
        mean = sum(block.squares for block in blocks) / samples if samples else 0.0
        return CaptureCondition(
            peak=max((block.peak for block in blocks), default=0) / FULL_SCALE,
            rms_db=10 * math.log10(mean / FULL_SCALE**2) if mean else SILENCE_DB,
            zeros_s=self._zeros_s,
            clipped_share=sum(block.clipped for block in blocks) / given if given else 0.0,
        )


def _is_zero(pcm: bytes) -> bool:
    return not pcm.strip(b"\0")


def _clipped(pcm: bytes) -> int:
    """How many samples are at full scale. Looked for as bytes first, which is ten times as fast and mostly enough."""
    if not any(value in pcm for value in _CLIPPED_BYTES):
        return 0
    samples = array("h", pcm)
    return sum(map(samples.count, _CLIPPED))
