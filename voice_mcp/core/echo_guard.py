"""Whether what sounds like speech while the agent speaks is the agent itself, left over by the canceller.

What a canceller leaves over of an echo is far weaker than what the microphone heard: by 16 dB and more once it knows
the room. Of somebody who speaks as loud as the echo it leaves nearly all: 3 dB are missing, 7 where the echo is twice
as strong. So the ratio of both tells them apart, most clearly over the 200 ms that an interruption takes to be
certain. While the canceller still learns it leaves more over, and only a voice that is louder than the echo counts.
"""

from __future__ import annotations

from array import array
from collections import deque

from voice_mcp.types import LISTENING_FORMAT

SETTLED_S = 3.0
"""How much of the agent's voice the canceller has to have heard before it knows the room."""
SETTLED_DB = 13.0
"""What is weaker than what was heard by more than this is an echo, once the canceller knows the room."""
LEARNING_DB = 6.0
"""The same before."""
AUDIBLE_RMS = 100.0
"""What is played more softly than this (-50 dBFS) teaches the canceller nothing."""


class EchoGuard:
    """Compares what was heard with what was left of it. Pure.

    Args:
        windows: Over how many windows it compares.
    """

    def __init__(self, windows: int) -> None:
        self._heard: deque[float] = deque(maxlen=windows)
        self._left: deque[float] = deque(maxlen=windows)
        self._learnt_s = 0.0

    def add(self, heard: bytes, left: bytes, played: bytes) -> None:
        """Take the next window, as many frames of each (``LISTENING_FORMAT``).

        Args:
            heard: What the microphone heard.
            left: What the canceller left of it.
            played: What the loudspeaker played.
        """
        self._heard.append(_power(heard))
        self._left.append(_power(left))
        frames = LISTENING_FORMAT.frames(len(played))
        if _power(played) >= frames * AUDIBLE_RMS**2:
            self._learnt_s += LISTENING_FORMAT.seconds(frames)

    @property
    def is_settled(self) -> bool:
        """Whether the canceller knows the room."""
        return self._learnt_s >= SETTLED_S

    @property
    def is_echo(self) -> bool:
        """Whether most of what was heard has been taken out as an echo."""
        most_db = SETTLED_DB if self.is_settled else LEARNING_DB
        return sum(self._heard) > sum(self._left) * 10 ** (most_db / 10)


def _power(frames: bytes) -> float:
    """The sum of the squares."""
    return float(sum(sample * sample for sample in array("h", frames)))
