"""What a microphone heard, without the agent's voice: brings together what was heard and what was played then.

Both are told of with times on one clock, and each time is right to some milliseconds only. The canceller finds any
distance between the two by itself, as long as it does not change: so what was played is read frame after frame beside
what was heard, and moved only where they have drifted apart, while the agent is silent if that can wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from voice_mcp.core.played_sound import PlayedSound
from voice_mcp.protocols import EchoCanceller
from voice_mcp.types import LISTENING_FORMAT, CapturedSound

LEAD_S = 0.04
"""How much earlier than it was heard the canceller gets what was played: devices know their latency badly, and an
echo that seems to come before its cause cannot be cancelled."""
BREAK_S = 0.05
"""What is further from where it should be than this belongs to another stretch of sound."""
DRIFT_S = 0.004
"""How far both may drift apart before they are moved, while nothing is played."""
WRONG_S = 0.02
"""The same while something is."""
_SLOWLY = 0.05


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The next frames; all three are of the same moment, and equally long."""

    sound: CapturedSound
    """Without the agent's voice. Older than what was taken, by the canceller's delay."""
    heard: bytes
    """With it."""
    played: bytes
    """What it was."""


class EchoRemoval:
    """One microphone and what is played beside it. What it learnt of the room outlives a gap in the sound.

    Args:
        canceller: Takes the echo out.
        played: Knows what could be heard when.
    """

    def __init__(self, canceller: EchoCanceller, played: PlayedSound) -> None:
        self._canceller = canceller
        self._played = played
        self._delay_s = LISTENING_FORMAT.seconds(canceller.delay_frames)
        self._next: int | None = None  # where the next frames stand, in frames on the clock
        self._drift = 0.0
        self._is_playing = False
        self._heard_late, self._played_late = self._silence(), self._silence()

    def add(self, sound: CapturedSound) -> Cleaned:
        """Take the next frames; return as many."""
        count = LISTENING_FORMAT.frames(len(sound.frames))
        place = self._place(sound)
        self._next = place + count
        played = self._played.read(place / LISTENING_FORMAT.rate_hz, count)
        self._is_playing = any(played)
        left = self._canceller.cancel(sound.frames, played)
        return Cleaned(
            CapturedSound(left, sound.at_s - self._delay_s),
            _through(self._heard_late, sound.frames),
            _through(self._played_late, played),
        )

    def _place(self, sound: CapturedSound) -> int:
        due = round((sound.at_s + LEAD_S) * LISTENING_FORMAT.rate_hz)
        if self._next is None or abs(due - self._next) > LISTENING_FORMAT.frames_in(BREAK_S):
            self._drift = 0.0
            return due
        self._drift += _SLOWLY * (due - self._next - self._drift)
        if abs(self._drift) <= LISTENING_FORMAT.frames_in(WRONG_S if self._is_playing else DRIFT_S):
            return self._next
        place, self._drift = self._next + round(self._drift), 0.0
        return place

    def _silence(self) -> bytearray:
        return bytearray(self._canceller.delay_frames * LISTENING_FORMAT.frame_bytes)


def _through(line: bytearray, frames: bytes) -> bytes:
    """Put ``frames`` in at one end of a delay line; return as many from the other."""
    line += frames
    out = bytes(line[: len(frames)])
    del line[: len(frames)]
    return out
