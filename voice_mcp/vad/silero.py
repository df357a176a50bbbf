"""Voice detection by Silero VAD: how likely it is that somebody speaks, every 32 ms (docs/adr/0017).

Keyboards, music and fans hardly move it, which is what a developer's microphone hears most.
"""

from __future__ import annotations

from voice_mcp.types import LISTENING_FORMAT, PcmFormat

_WINDOW_FRAMES = 512


class SileroDetector:
    """A ``VoiceDetector``; for one stream of sound at a time, from one thread at a time.

    Thread: a window takes about a tenth of a millisecond; the first detector loads numpy and the weights, so it is
    made ahead of need.
    """

    def __init__(self) -> None:
        from voice_mcp.vad._silero_network import SileroNetwork  # numpy and the weights: 170 ms

        self._network = SileroNetwork()
        self._waiting = bytearray()

    @property
    def format(self) -> PcmFormat:
        return LISTENING_FORMAT

    @property
    def window_frames(self) -> int:
        return _WINDOW_FRAMES

    def add(self, frames: bytes) -> list[float]:
        self._waiting += frames
        window_bytes = _WINDOW_FRAMES * LISTENING_FORMAT.frame_bytes
        whole_bytes = len(self._waiting) // window_bytes * window_bytes
        whole = bytes(self._waiting[:whole_bytes])
        del self._waiting[:whole_bytes]
        return [self._network.hear(whole[at : at + window_bytes]) for at in range(0, whole_bytes, window_bytes)]

    def reset(self) -> None:
        self._waiting.clear()
        self._network.reset()
