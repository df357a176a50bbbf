"""Speech made quicker or slower at its own pitch, as it comes: for voices whose models cannot speak at any speed.

The sound is put together anew from overlapping segments of itself, taken further apart or closer together than they
are laid down. Each is looked for within a few milliseconds of its place, where it goes on best with what was laid down
before, so that periods of the voice meet in phase (WSOLA; Verhelst and Roelands, "An overlap-add technique based on
waveform similarity", ICASSP 1993).
"""

from __future__ import annotations

import numpy as np

from voice_mcp.samples.convert import Samples

STEP_S = 0.012
"""What is laid down at a time; a segment is twice as long and fades over its half."""
REACH_S = 0.010
"""How far from its place a segment is looked for, either way: a period of a low voice."""
_QUIET = 1e-9


class Stretcher:
    """Changes the speed of one run of sound. The output does not depend on how it was cut.

    Keeps some 50 ms back. As many frames come out as went in, divided by the speed.

    Args:
        rate_hz: Frames per second; one channel.
        speed: 2.0 is twice as fast.
    """

    def __init__(self, rate_hz: int, speed: float) -> None:
        self._speed = speed
        self._step = max(1, round(STEP_S * rate_hz))
        self._reach = max(1, round(REACH_S * rate_hz))
        self._rise: Samples = (0.5 - 0.5 * np.cos(np.pi * (np.arange(self._step) + 0.5) / self._step)).astype(
            np.float32
        )
        self._sound: Samples = np.zeros(0, np.float32)
        self._first = 0
        """The frame of the input that ``_sound`` begins with."""
        self._heard = 0
        self._laid = 0
        self._goes_on_at = 0
        """Where the input goes on with what was laid down last."""

    def push(self, samples: Samples) -> Samples:
        """Take the next samples, (n,); return those that are now known."""
        if self._speed == 1.0:
            return samples
        self._heard += len(samples)
        self._sound = np.concatenate([self._sound, samples])
        return self._laid_down(self._first + len(self._sound))

    def finish(self) -> Samples:
        """No more will come; return the rest."""
        missing = round(self._heard / self._speed) - self._laid
        if self._speed == 1.0 or missing <= 0:
            return np.zeros(0, np.float32)
        steps = -(-missing // self._step)
        end = round((self._laid + steps * self._step) * self._speed) + self._reach + 2 * self._step
        end = max(end, self._goes_on_at + (steps + 2) * self._step)
        silence = np.zeros(max(0, end - self._first - len(self._sound)), np.float32)
        self._sound = np.concatenate([self._sound, silence])
        return self._laid_down(end, most=steps)[:missing]

    def _laid_down(self, end: int, most: int | None = None) -> Samples:
        """All steps that need nothing from ``end`` of the input on."""
        laid: list[Samples] = []
        while most is None or len(laid) < most:
            place = round(self._laid * self._speed)
            if max(place + self._reach, self._goes_on_at) + self._step > end:
                break
            if most is None and (self._laid + self._step) * self._speed > self._heard:
                break  # it may be over by then
            before = self._piece(self._goes_on_at)
            at = self._best(place, before)
            laid.append(before * self._rise[::-1] + self._piece(at) * self._rise)
            self._laid += self._step
            self._goes_on_at = at + self._step
            self._forget(min(self._goes_on_at, round(self._laid * self._speed) - self._reach))
        return np.concatenate(laid) if laid else np.zeros(0, np.float32)

    def _best(self, place: int, before: Samples) -> int:
        """Where near ``place`` the input is most like ``before``, which it would go on with."""
        if self._laid == 0:
            return 0
        low = max(self._first, place - self._reach)
        window = self._sound[low - self._first : place + self._reach + self._step - self._first].astype(np.float64)
        alike = np.correlate(window, before.astype(np.float64), "valid")
        sums = np.concatenate([[0.0], np.cumsum(window**2)])
        energy = sums[self._step :] - sums[: -self._step]
        return low + int(np.argmax(alike / np.sqrt(np.maximum(energy, _QUIET))))

    def _piece(self, at: int) -> Samples:
        return self._sound[at - self._first : at - self._first + self._step]

    def _forget(self, before: int) -> None:
        if before > self._first:
            self._sound = self._sound[before - self._first :]
            self._first = before
