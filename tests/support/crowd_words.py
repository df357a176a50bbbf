"""Messages that can be told from each other on a recording: two words, each with a pitch and a length of its own.

The tone engine gives each word one of 36 pitches; the first word of a message has two letters, the second three. Its
square wave knows two levels only, so two voices at once would be louder than one can be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voice_mcp.tts.tone import CHARACTER_S, pitch_hz

SPEED = 2.0
RATE_HZ = 24_000
LOUDEST = 4096
"""The square voice's level."""
TOLERANCE_S = 0.002
"""How much a word's length may differ: soft edges begin and end with zeros, and a period that is lost has 10 ms."""
SURE_OF_PITCH_S = 0.008
"""A part of a word that is shorter may not tell its pitch."""
LONGEST_GAP_S = 2.0
_LOWEST_HZ = 220.0
_CONSONANTS, _VOWELS = "bdfgklmnprtvz", "aeiou"


def _by_pitch(letters: int) -> list[str]:
    """One word for each pitch that words of so many letters have, in the order of the pitches."""
    found: dict[int, str] = {}
    for parts in itertools.product(*[_CONSONANTS, _VOWELS, _CONSONANTS][:letters]):
        found.setdefault(semitone(pitch_hz("".join(parts))), "".join(parts))
    return [found[pitch] for pitch in sorted(found)]


def semitone(frequency_hz: float) -> int:
    """The nearest semitone above the lowest pitch."""
    return round(12 * math.log2(frequency_hz / _LOWEST_HZ))


@dataclass(frozen=True, slots=True)
class Burst:
    """A tone on the recording."""

    start_s: float
    duration_s: float
    """Without the silence in it."""
    pitch: int
    """-1 where it is too short to tell."""


class Messages:
    """As many different messages as there are pairs of pitches."""

    def __init__(self) -> None:
        self._first, self._second = _by_pitch(2), _by_pitch(3)
        self._numbers = {
            (semitone(pitch_hz(first)), semitone(pitch_hz(second))): row * len(self._second) + column
            for row, first in enumerate(self._first)
            for column, second in enumerate(self._second)
        }

    def __len__(self) -> int:
        return len(self._numbers)

    def text(self, number: int) -> str:
        """The message of that number."""
        row, column = divmod(number, len(self._second))
        return f"{self._first[row]} {self._second[column]}"

    def heard(self, captured: bytes) -> tuple[list[int], int]:
        """The numbers of the messages that a recording holds whole, in order, and how many words are in no message."""
        bursts, whole, loose = list(bursts_of(captured)), [], 0
        while bursts:
            first = _word(bursts, 0, letters=2)
            second = _word(bursts, first, letters=3) if first else 0
            pitches = _pitch_of(bursts[:first]), _pitch_of(bursts[first : first + second])
            if (number := self._numbers.get(pitches)) is not None:
                whole.append(number)
                del bursts[: first + second]
            else:
                loose += 1
                del bursts[:1]
        return whole, loose


def loudest(captured: bytes) -> int:
    """The highest level of a recording."""
    samples = np.frombuffer(captured, "<i2", len(captured) // 2)
    return int(np.abs(samples.astype(np.int32)).max(initial=0))


def bursts_of(captured: bytes) -> Iterator[Burst]:
    """The tones of a recording (16 bits, mono, ``RATE_HZ``), in order."""
    samples = np.frombuffer(captured, "<i2", len(captured) // 2)
    loud = np.flatnonzero(samples)
    if not len(loud):
        return
    breaks = np.flatnonzero(np.diff(loud) > RATE_HZ // 200)
    for start, stop in zip(np.r_[0, breaks + 1], np.r_[breaks, len(loud) - 1], strict=True):
        sound = samples[loud[start : stop + 1]]  # without a gap's zeros, which have no sign
        yield Burst(int(loud[start]) / RATE_HZ, len(sound) / RATE_HZ, _pitch(sound))


def _pitch(samples: npt.NDArray[np.int16]) -> int:
    changes = np.flatnonzero(np.diff(np.signbit(samples)))
    if len(changes) < 3:
        return -1
    return semitone(RATE_HZ * (len(changes) - 1) / 2 / int(changes[-1] - changes[0]))


def _word(bursts: Sequence[Burst], start: int, *, letters: int) -> int:
    """How many bursts from ``start`` on are a word of so many letters: more than one where it has gaps; 0 for none."""
    due_s, last_s = letters * CHARACTER_S / SPEED, bursts[start].start_s if start < len(bursts) else 0.0
    pitches: set[int] = set()
    for parts, burst in enumerate(bursts[start:], 1):
        due_s, gap_s, last_s = due_s - burst.duration_s, burst.start_s - last_s, burst.start_s
        if burst.duration_s >= SURE_OF_PITCH_S:
            pitches.add(burst.pitch)
        if gap_s > LONGEST_GAP_S or len(pitches) > 1:
            return 0
        if abs(due_s) < TOLERANCE_S:
            return parts
        if due_s < 0:
            return 0
    return 0


def _pitch_of(parts: Sequence[Burst]) -> int:
    return max(parts, key=lambda burst: burst.duration_s).pitch if parts else -1
