"""A room with a loudspeaker and a microphone in it: what the microphone hears of what the loudspeaker plays.

    played ─▶ loudspeaker (distorts) ─▶ its clock (drifts) ─▶ delay ─▶ walls (direct path, reverberation) ─▶ microphone

Computed, and the same every time; sounds are float64 at 16 kHz in steps of 16 bits, as in ``noises.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from tests.support.noises import RATE_HZ, Dice, Sound

FULL_SCALE = 32_768.0
_TAPS = 16
"""Samples on either side that a moment between two samples is computed from."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where a microphone stands before a loudspeaker."""

    name: str
    seed: str
    delay_s: float = 0.06
    """From the moment the sound is said to be heard to the moment the microphone hears it."""
    decay_s: float = 0.35
    """How long reverberation takes to lose 60 dB."""
    direct_db: float = 3.0
    """How much stronger the direct sound is than the reverberation."""
    drive: float = 0.0
    """How hard the loudspeaker is driven: 0 is linear, 1 bends full scale by a quarter."""
    skew_ppm: float = 0.0
    """How much faster the loudspeaker's clock runs than the microphone's."""

    def echo(self, played: Sound) -> Sound:
        """What the microphone hears of ``played``, as loud as it was played; as many samples."""
        sound = _drifted(_distorted(played, self.drive), self.skew_ppm)
        delay = round(self.delay_s * RATE_HZ)
        heard: Sound = fftconvolve(sound, self._walls())[: len(played)]
        out: Sound = np.concatenate([np.zeros(delay), heard])[: len(played)]
        return out

    def _walls(self) -> Sound:
        """What an impulse becomes: itself, then noise that dies away."""
        count = round(self.decay_s * RATE_HZ)
        tail = Dice(f"walls {self.seed}").noise(count) * 10.0 ** (-3.0 * np.arange(count) / count)
        tail[: RATE_HZ // 500] = 0.0  # the nearest wall is a third of a metre away
        tail *= 10.0 ** (-self.direct_db / 20.0) / np.sqrt(np.sum(tail * tail))
        tail[0] = 1.0
        tail /= np.sqrt(np.sum(tail * tail))
        walls: Sound = tail
        return walls


def level_db(sound: Sound) -> float:
    """The mean level in dBFS; -120 for silence."""
    power = float(np.mean(sound * sound)) / FULL_SCALE**2 if len(sound) else 0.0
    return 10.0 * float(np.log10(max(power, 1e-12)))


def at_level(sound: Sound, wanted_db: float) -> Sound:
    """The same sound with its speech at a level in dBFS."""
    louder: Sound = sound * 10.0 ** ((wanted_db - speech_level_db(sound)) / 20.0)
    return louder


def speech_level_db(sound: Sound) -> float:
    """The mean level of the louder half of a sound, in dBFS: of its speech, not of its pauses."""
    window = RATE_HZ // 50
    whole = sound[: len(sound) // window * window].reshape(-1, window)
    powers = np.sort(np.mean(whole * whole, axis=1))
    power = float(np.mean(powers[len(powers) // 2 :])) / FULL_SCALE**2
    return 10.0 * float(np.log10(max(power, 1e-12)))


def as_pcm(sound: Sound) -> bytes:
    """The sound as a microphone's frames."""
    return np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()


def as_sound(pcm: bytes) -> Sound:
    """Frames as samples that can be computed with."""
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def _distorted(sound: Sound, drive: float) -> Sound:
    if not drive:
        return sound
    bent: Sound = np.tanh(drive * sound / FULL_SCALE) * (FULL_SCALE / drive)
    return bent


def _drifted(sound: Sound, skew_ppm: float) -> Sound:
    """The sound as a clock plays it that runs faster than it should."""
    if not skew_ppm:
        return sound
    moments = np.arange(len(sound)) * (1.0 + skew_ppm / 1e6)
    whole = np.floor(moments).astype(np.int64)
    padded = np.concatenate([np.zeros(_TAPS), sound, np.zeros(2 * _TAPS + len(sound) // 1000)])
    out = np.zeros(len(sound))
    for tap in range(-_TAPS + 1, _TAPS + 1):
        out += padded[whole + tap + _TAPS] * _kernel(moments - whole - tap)
    return out


def _kernel(away: NDArray[np.float64]) -> Sound:
    """A windowed sinc: what a sample counts ``away`` samples from it."""
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(away / _TAPS, -1.0, 1.0))
    kernel: Sound = np.sinc(away) * window
    return kernel
