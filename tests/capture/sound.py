"""A sound that is the same at any rate, and the judge of where it is in what was heard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voice_mcp.types import LISTENING_FORMAT

VOICES = 150
LOWEST_HZ, HIGHEST_HZ = 100.0, 800.0
PEAK = 20_000


def murmur(rate_hz: int, duration_s: float, seed: int = 0) -> bytes:
    """Mono, like many people at once: any part of it is like no other, and half a sample later it is the same."""
    source = np.random.default_rng(seed)
    pitches_hz, phases = source.uniform(LOWEST_HZ, HIGHEST_HZ, VOICES), source.uniform(0, 2 * np.pi, VOICES)
    times_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    sound = np.zeros(len(times_s))
    for pitch_hz, phase in zip(pitches_hz, phases, strict=True):
        sound += np.sin(2 * np.pi * pitch_hz * times_s + phase)
    return _pcm(sound / np.abs(sound).max() * PEAK)


def interleaved(left: bytes, right: bytes) -> bytes:
    """Two channels of one."""
    return _pcm(np.stack([_samples(left), _samples(right)], axis=1))


def mean(left: bytes, right: bytes) -> bytes:
    """One channel of two."""
    return _pcm((_samples(left) + _samples(right)) / 2)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sound is in what was heard."""

    at_frame: int
    likeness: float
    """Of what is there with the sound, whole: 1 is the same but for the volume."""


def find(sound: bytes, heard: bytes) -> Place:
    """Look for a sound of ``LISTENING_FORMAT`` in what was heard."""
    wanted, there = _samples(sound), _samples(heard)
    assert len(there) >= len(wanted), f"only {len(there)} of {len(wanted)} frames were heard"
    size = len(wanted) + len(there)
    product = np.fft.irfft(np.fft.rfft(there, size) * np.conj(np.fft.rfft(wanted, size)), size)
    at = int(np.argmax(product[: len(there) - len(wanted) + 1]))
    part = there[at : at + len(wanted)]
    size_of_both = float(np.linalg.norm(part) * np.linalg.norm(wanted))
    return Place(at, float(np.dot(part, wanted)) / size_of_both if size_of_both else 0.0)


def at_listening_rate(duration_s: float, seed: int = 0) -> bytes:
    """What ``murmur`` is once it was heard."""
    return murmur(LISTENING_FORMAT.rate_hz, duration_s, seed)


def _samples(pcm: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def _pcm(samples: npt.NDArray[np.float64]) -> bytes:
    return bytes(samples.astype("<i2").tobytes())
