"""What people say in tests: phrases of the corpus's voices, with pauses as long as a test wants them."""

from __future__ import annotations

import json
import wave
from array import array
from functools import cache
from pathlib import Path
from typing import Any

import soundfile

from tests.support.corpus import VOICES
from voice_mcp.types import LISTENING_FORMAT

_BLOCK, _STEP = 160, 32


def silence(seconds: float) -> bytes:
    """Digital silence, in ``LISTENING_FORMAT``."""
    return bytes(LISTENING_FORMAT.frames_in(seconds) * LISTENING_FORMAT.frame_bytes)


def phrases(speaker: str = "en-us-f1", number: int = 0) -> list[bytes]:
    """The phrases of one turn of a speaker, in ``LISTENING_FORMAT``."""
    entry = _speaker(speaker)["turns"][number]
    voice = _voice(speaker)
    return [voice[2 * first : 2 * end] for first, end in entry["phrases"]]


def said(*, pause_s: float = 0.3, speaker: str = "en-us-f1", number: int = 0) -> bytes:
    """A whole turn with pauses of that length between its phrases."""
    return silence(pause_s).join(phrases(speaker, number))


def heard_share(needle: bytes, haystack: bytes) -> float:
    """How much of ``needle`` is in ``haystack`` where they fit best: 1 is all of it, 0 nothing.

    Judged by the energy of 10 ms blocks, so that resampling does not matter; wherever in a block it begins.
    """
    wanted = _energies(needle)
    return max(_share(wanted, _energies(haystack[2 * begin :])) for begin in range(0, _BLOCK, _STEP))


def _share(wanted: list[float], there: list[float]) -> float:
    if len(there) < len(wanted):
        there = there + [0.0] * (len(wanted) - len(there))
    total = sum(wanted) or 1.0
    best = 0.0
    for at in range(len(there) - len(wanted) + 1):
        common = sum(min(a, b) for a, b in zip(wanted, there[at:], strict=False))
        best = max(best, common / total)
    return best


def recorded(path: Path) -> bytes:
    """The frames of a WAV file."""
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


def _energies(pcm: bytes) -> list[float]:
    samples = array("h", pcm)
    blocks = (samples[at : at + _BLOCK] for at in range(0, len(samples), _BLOCK))
    return [sum(map(abs, block)) / _BLOCK for block in blocks]


@cache
def _speaker(name: str) -> dict[str, Any]:
    index = json.loads((VOICES / "index.json").read_text(encoding="utf-8"))
    return next(entry for part in index.values() for entry in part if entry["name"] == name)


@cache
def _voice(name: str) -> bytes:
    samples, _ = soundfile.read(VOICES / f"{name}.flac", dtype="int16")
    return bytes(samples.tobytes())
