"""Whether what sounds like speech while the agent speaks is the agent itself, left over by the canceller.

What a canceller leaves over of an echo is far weaker than what the microphone heard: by 15 dB and more once it knows
the room. Of somebody who speaks as loud as the echo it leaves nearly all: 3 dB are missing, 7 where the echo is twice
as strong. So the ratio of both tells them apart, most clearly over the 200 ms that an interruption takes to be certain.
What was heard is looked at for longer, since a hall goes on sounding when the agent is silent. While the canceller
still learns it leaves more over, and only a voice that is louder than the echo counts.
"""

from __future__ import annotations

from array import array
from collections import deque
from operator import mul
from statistics import fmean

from voice_mcp.types import LISTENING_FORMAT

SETTLED_S = 3.0
"""How much of the agent's voice the canceller has to have heard before it knows the room."""
SETTLED_DB = 12.0
"""What is weaker than what was heard by more than this is an echo, once the canceller knows the room."""
LEARNING_DB = 4.0
"""The same before."""
ECHOES_S = 0.64
"""For how long what was heard is remembered."""
AUDIBLE_RMS = 100.0
"""What is played more softly than this (-50 dBFS) teaches the canceller nothing."""


class EchoGuard:
    """Compares what was heard with what was left of it. Pure.

    Args:
        window_s: How much sound it is given at a time.
        speech_s: How long something sounds like speech before it is asked.
    """

    def __init__(self, window_s: float, speech_s: float) -> None:
        self._heard: deque[float] = deque(maxlen=max(1, round(ECHOES_S / window_s)))
        self._left: deque[float] = deque(maxlen=max(1, round(speech_s / window_s)))
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
        if not self.is_settled and _power(played) >= frames * AUDIBLE_RMS**2:
            self._learnt_s += LISTENING_FORMAT.seconds(frames)

    @property
    def is_settled(self) -> bool:
        """Whether the canceller knows the room."""
        return self._learnt_s >= SETTLED_S

    @property
    def is_echo(self) -> bool:
        """Whether most of what was heard has been taken out as an echo."""
        most_db = SETTLED_DB if self.is_settled else LEARNING_DB
        if not self._heard:
            return False
        return fmean(self._heard) > fmean(self._left) * 10 ** (most_db / 10)


def _power(frames: bytes) -> float:
    """The sum of the squares."""
    samples = array("h", frames)
    return float(sum(map(mul, samples, samples)))
