"""What else a microphone hears: computed with whole numbers, ``+ - * /`` and square roots, so the same to the bit
wherever it is computed. (Sines, exponentials and the distributions of numpy are not.)

Every function returns float64 samples at 16 kHz; the level is the caller's business.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.random import PCG64
from numpy.typing import NDArray

RATE_HZ = 16_000

Sound = NDArray[np.float64]


class Dice:
    """Draws that are the same everywhere: the raw bits of PCG64, which numpy promises not to change."""

    def __init__(self, seed: str) -> None:
        self._bits = PCG64(zlib.crc32(seed.encode()))

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        return int(self._bits.random_raw()) % limit

    def choice(self, values: tuple[float, ...]) -> float:
        """One of ``values``."""
        return values[self.below(len(values))]

    def noise(self, count: int) -> Sound:
        """White noise from -1 to 1."""
        raw = np.asarray(self._bits.random_raw(count))
        return (raw >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1.0


def rms(sound: Sound) -> float:
    """The level, as a share of one step of 16 bits; from whole numbers, whose sum does not depend on their order."""
    whole = np.rint(sound * 1024.0).astype(np.int64)
    return float(np.sqrt(float(np.sum(whole * whole)) / max(1, len(whole)))) / 1024.0


def white(dice: Dice, count: int) -> Sound:
    """Hiss."""
    return dice.noise(count)


def fan(dice: Dice, count: int) -> Sound:
    """Noise that gets weaker with frequency: a fan, a street behind a window."""
    sound = np.zeros(count)
    for width in (1, 4, 16, 64, 256):
        whole = np.rint(dice.noise(count + width) * 4096.0).astype(np.int64)
        sums = np.cumsum(whole)
        sound += (sums[width:] - sums[:-width]) / (4096.0 * width) * _root(width)
    return sound


def hum(dice: Dice, count: int) -> Sound:
    """The mains, 50 Hz with overtones, and a little hiss."""
    sound = 0.05 * dice.noise(count)
    for overtone, share in ((1, 1.0), (2, 0.5), (3, 0.6), (5, 0.3), (7, 0.2)):
        sound += share * _wave(50.0 * overtone, count)
    return sound


def keyboard(dice: Dice, count: int) -> Sound:
    """Typing: for each key a click, the thud below it, and the quieter click of its release."""
    sound = 0.004 * dice.noise(count)
    at = dice.below(2000)
    while at < count:
        loud = 0.5 + dice.below(512) / 1024.0
        _add(sound, at, loud * _click(dice, 60 + dice.below(120)))
        _add(sound, at, 0.5 * loud * _fade(400, 3) * _wave(140.0 + dice.below(80), 400))
        _add(sound, at + 900 + dice.below(700), 0.35 * loud * _click(dice, 40 + dice.below(80)))
        at += 1300 + dice.below(2600) + (16_000 if dice.below(14) == 0 else 0)
    return sound


def music(dice: Dice, count: int) -> Sound:
    """Chords, a bass and a beat."""
    sound = 0.002 * dice.noise(count)
    beat = 6400 + dice.below(3200)
    for number, at in enumerate(range(0, count, beat)):
        root_hz = 110.0 * (1.0, 4 / 3, 3 / 2, 9 / 8)[number // 4 % 4]
        _add(sound, at, 0.8 * _note(root_hz, beat))
        for ratio in (2.0, 5 / 2, 3.0):
            _add(sound, at, 0.35 * _note(root_hz * ratio, beat))
        melody = root_hz * (4.0, 9 / 2, 5.0, 6.0, 20 / 3)[dice.below(5)]
        _add(sound, at + (beat // 2 if dice.below(2) else 0), 0.5 * _note(melody, beat // 2))
        _add(sound, at, 0.6 * _click(dice, 800))
    return sound


def coughs(dice: Dice, count: int) -> Sound:
    """Coughs: a burst, a breath, a second and weaker one."""
    sound = 0.004 * dice.noise(count)
    at = 4000 + dice.below(16_000)
    while at < count:
        for loud, length in ((1.0, 2400 + dice.below(1600)), (0.6, 1600 + dice.below(1600))):
            burst = fan(dice, length) + 0.5 * dice.noise(length)
            _add(sound, at, loud * _fade(length, 2) * burst)
            at += length + 1200 + dice.below(1600)
        at += 24_000 + dice.below(32_000)
    return sound


def claps(dice: Dice, count: int) -> Sound:
    """Claps and knocks in a room."""
    sound = 0.004 * dice.noise(count)
    at = 4000 + dice.below(16_000)
    while at < count:
        _add(sound, at, _click(dice, 160))
        _add(sound, at + 100, 0.15 * _click(dice, 4000))
        at += 5000 + dice.below(24_000)
    return sound


def silence(dice: Dice, count: int) -> Sound:
    """A quiet room: what a microphone makes by itself."""
    return dice.noise(count)


NOISES: dict[str, Callable[[Dice, int], Sound]] = {
    noise.__name__: noise for noise in (silence, white, fan, hum, keyboard, music, coughs, claps)
}


def in_room(sound: Sound, dice: Dice, decay_s: float = 0.45) -> Sound:
    """The same heard across a room: 160 echoes that die away within ``decay_s``."""
    out = sound.copy()
    span = round(decay_s * RATE_HZ)
    for _ in range(160):
        delay = 80 + dice.below(span - 80)
        left = 1.0 - delay / span
        gain = 0.22 * left * left * left * (1.0 if dice.below(2) else -1.0)
        out[delay:] += gain * sound[: len(sound) - delay]
    return out


def _wave(pitch_hz: float, count: int) -> Sound:
    """Nearly a sine: two parabolas a period."""
    phase = np.arange(count) * (pitch_hz / RATE_HZ)
    phase = (phase - np.floor(phase)) * 2.0 - 1.0
    wave: Sound = 4.0 * phase * (1.0 - np.abs(phase))
    return wave


def _note(pitch_hz: float, count: int) -> Sound:
    sound = np.zeros(count)
    for overtone, share in ((1, 1.0), (2, 0.5), (3, 0.25), (4, 0.15)):
        sound += share * _wave(pitch_hz * overtone, count)
    rise = np.minimum(np.arange(count) / 160.0, 1.0)
    return sound * rise * _fade(count, 2)


def _click(dice: Dice, count: int) -> Sound:
    burst = dice.noise(count + 1)
    return (burst[1:] - 0.6 * burst[:-1]) * _fade(count, 4)


def _fade(count: int, steepness: int) -> Sound:
    left = 1.0 - np.arange(count) / count
    faded = left
    for _ in range(steepness - 1):
        faded = faded * left
    return faded


def _root(number: int) -> float:
    return float(np.sqrt(float(number)))


def _add(sound: Sound, at: int, what: Sound) -> None:
    end = min(len(sound), at + len(what))
    if at < end:
        sound[at:end] += what[: end - at]
