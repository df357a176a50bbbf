"""Where two pieces of sound meet that were made apart: no click, and no word of either lost.

Inside a piece nothing is touched: a piece that comes in chunks is one sound, and its chunks pass bit for bit. What
happens at a joint is for the sound there to say:

* **Pieces that follow each other** (sentences). Where one is at rest, nothing happens to it. Where it is not, its end
  goes to silence, or its beginning comes from there, over the shortest fade that bends the sound no more than the
  sound bends itself, and 10 ms at most. The length is that of both together.
* **Pieces that say the same for a while** (something was asked for again). For as long, and 10 ms at most, one goes
  over into the other: linearly where they are alike, with equal power where they are not, in between as in between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_mcp.errors import InvalidInput
from voice_mcp.samples.convert import Samples

LONGEST_S = 0.010
"""The longest fade, and the most sound that is ever held back."""
AT_REST = 0.001
"""-60 dBFS: what stays under it can begin and end as it likes."""
REST_S = 0.001
"""For so long it has to."""

_LENGTHS_S = (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, LONGEST_S)


class Joiner:
    """Puts pieces together as they come. The output does not depend on how a piece was cut into chunks.

    Holds back 10 ms at most: the end of a piece is known only when the next one begins. The first beginning and the
    last end are no joints, and pass as they are.

    Args:
        rate_hz: Frames per second.
        channels: Samples per frame.
    """

    def __init__(self, rate_hz: int, channels: int = 1) -> None:
        self._rate_hz = rate_hz
        self.most_held_frames = max(1, round(LONGEST_S * rate_hz))
        """Frames that are held back at most."""
        self._nothing: Samples = np.zeros((0,) if channels == 1 else (0, channels), np.float32)
        self._held = self._old = self._nothing
        self._begins = False

    def process(self, samples: Samples) -> Samples:
        """Take the next chunk of the piece; return what is now known.

        Args:
            samples: (n,) for one channel, (n, channels) for more.
        """
        self._held = np.concatenate((self._held, samples))
        if self._begins and len(self._held) < self.most_held_frames:
            return self._nothing
        self._begin_piece()
        ready = len(self._held) - self.most_held_frames
        if ready <= 0:
            return self._nothing
        out, self._held = self._held[:ready], self._held[ready:]
        return out

    def next_piece(self, overlap_frames: int = 0) -> Samples:
        """The piece is over, and what comes next was made apart from it. Returns the end of it, as far as it is known.

        Args:
            overlap_frames: For how many frames the next piece says again what this one ended with; 0 when it follows.
                The first of them that are more than ``most_held_frames`` are for the caller to drop.

        Raises:
            InvalidInput: They overlap by more than is held.
        """
        if not 0 <= overlap_frames <= self.most_held_frames:
            raise InvalidInput(
                f"Pieces cannot overlap by {overlap_frames} frames.",
                hint=f"Use 0 to {self.most_held_frames} frames, and drop what is said twice before.",
            )
        self._begin_piece()
        held, self._held = self._held, self._nothing
        if overlap_frames and len(held):
            split = max(0, len(held) - overlap_frames)
            self._old, out = held[split:], held[:split]
        else:
            out = faded_out(held, self._rate_hz)
        # A piece that held nothing leaves the joint where it was.
        self._begins = self._begins or len(held) > 0
        return out

    def flush(self) -> Samples:
        """No more will come: what was held back. What is processed afterwards is another run."""
        self._begin_piece()
        out, self._held, self._begins = self._held, self._nothing, False
        return out

    def _begin_piece(self) -> None:
        """The beginning of the piece is there: join it to what was before."""
        if not self._begins:
            return
        old, self._old = self._old, self._nothing
        if not len(self._held) and not len(old):
            return
        self._begins = False
        if not len(old):
            self._held = faded_in(self._held, self._rate_hz)
            return
        common = min(len(old), len(self._held))
        self._held = np.concatenate((crossfaded(old[:common], self._held[:common]), self._held[common:], old[common:]))


def is_at_rest(edge: Samples) -> bool:
    """Whether a millisecond of sound can be followed by anything."""
    return not len(edge) or bool(np.abs(edge).max() <= AT_REST)


def faded_out(end: Samples, rate_hz: int) -> Samples:
    """The end of a piece as it goes to silence: untouched where it is at rest.

    Args:
        end: The last frames of it, ``LONGEST_S`` where there are so many.
        rate_hz: Frames per second.
    """
    return faded_in(end[::-1], rate_hz)[::-1]


def faded_in(beginning: Samples, rate_hz: int) -> Samples:
    """The beginning of a piece as it comes from silence: untouched where it is at rest.

    Args:
        beginning: The first frames of it, ``LONGEST_S`` where there are so many.
        rate_hz: Frames per second.
    """
    if is_at_rest(beginning[: max(1, round(REST_S * rate_hz))]):
        return beginning
    most = _sharpest(beginning)
    silence = np.zeros((2, *beginning.shape[1:]), np.float32)
    if is_at_rest(beginning[:1]) and _sharpest(np.concatenate((silence, beginning))) <= most:
        return beginning  # it comes from silence by itself
    faded = beginning
    for length_s in _LENGTHS_S:
        frames = min(len(beginning), round(length_s * rate_hz))
        faded = beginning.copy()
        faded[:frames] *= _along(_rise(frames), beginning)
        if _sharpest(np.concatenate((silence, faded))) <= most:
            break
    return faded


def crossfaded(old: Samples, new: Samples) -> Samples:
    """One sound as it goes over into another that takes the same time.

    The gains are such that the power stays the same for sounds as alike as these: that is linear where they are equal,
    and with equal power where they have nothing in common.

    Args:
        old: What ends, (n,) or (n, channels).
        new: What takes its place; as long.
    """
    if np.array_equal(old, new) or (is_at_rest(old) and is_at_rest(new)):
        return new
    share = _rise(len(new)).astype(np.float64)
    alike = likeness(old, new)
    power = share**2 + (1 - share) ** 2 + 2 * alike * share * (1 - share)
    rising = (share / np.sqrt(power)).astype(np.float32)
    falling = ((1 - share) / np.sqrt(power)).astype(np.float32)
    return old * _along(falling, old) + new * _along(rising, new)


def likeness(old: Samples, new: Samples) -> float:
    """How much two sounds have in common, from 0 to 1: their correlation, opposites being as different as any."""
    energy = float(np.vdot(old, old)) * float(np.vdot(new, new))
    return min(1.0, max(0.0, float(np.vdot(old, new)) / energy**0.5)) if energy > 0 else 0.0


def _rise(frames: int) -> NDArray[np.float32]:
    """From nothing to all, along a raised cosine; neither end is part of it."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(1, frames + 1) / (frames + 1))).astype(np.float32)


def _along(gain: NDArray[np.float32], samples: Samples) -> NDArray[np.float32]:
    return gain if samples.ndim == 1 else gain[:, None]


def _sharpest(samples: Samples) -> float:
    """How sharply a sound bends where it does most: its largest second difference, which is what a click is."""
    return float(np.abs(np.diff(samples, 2, axis=0)).max()) if len(samples) > 2 else 0.0
