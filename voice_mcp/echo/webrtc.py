"""Echo cancellation: a linear filter of our own, and behind it WebRTC's, which removes what no linear filter can.

    heard ─▶ linear filter ─▶ echo canceller of WebRTC (AEC3) ─▶ what somebody else said
                  ▲                       ▲
    played ───────┴───────────────────────┘

WebRTC's alone silences the agent as well, but also half of what is said softly at the same time: it cannot tell a quiet
voice from an echo that is left over. With less echo left over it lets that voice pass (docs/adr/0022).
"""

from __future__ import annotations

from voice_mcp.errors import ListeningUnavailable
from voice_mcp.types import LISTENING_FORMAT

INSTALL = 'pip install "voice-mcp[aec]"'
_HOP_FRAMES = 160
_FRAMER_FRAMES = 128
"""How late WebRTC's output is: it computes in blocks of 4 ms and keeps two of them."""
_FULL_SCALE = 32_768.0


class WebRtcCanceller:
    """An ``EchoCanceller``; for one stream of sound, from one thread at a time. Its delay is 18 ms.

    Thread: a frame of 10 ms takes about 0.2 ms; making it loads numpy and a library, so it is made ahead of need.

    Raises:
        ListeningUnavailable: The library is not installed.
    """

    def __init__(self) -> None:
        try:
            from pywebrtc_audio import EchoCanceller
        except ImportError as exc:
            raise ListeningUnavailable(
                "With open loudspeakers the agent would interrupt itself: echo cancellation is not installed.",
                hint=f"Run `{INSTALL}`, or wear headphones and set VOICEMODE_BARGE_IN=headphones.",
            ) from exc
        from voice_mcp.echo._linear_filter import LinearFilter  # numpy: 80 ms

        self._filter = LinearFilter()
        self._rest = EchoCanceller(LISTENING_FORMAT.rate_hz, LISTENING_FORMAT.channels)
        self._heard, self._played = bytearray(), bytearray()
        self._ready = bytearray(_HOP_FRAMES * LISTENING_FORMAT.frame_bytes)

    @property
    def delay_frames(self) -> int:
        return _HOP_FRAMES + _FRAMER_FRAMES

    def cancel(self, heard: bytes, played: bytes) -> bytes:
        self._heard += heard
        self._played += played
        hop_bytes = _HOP_FRAMES * LISTENING_FORMAT.frame_bytes
        whole_bytes = len(self._heard) // hop_bytes * hop_bytes
        for at in range(0, whole_bytes, hop_bytes):
            self._ready += self._cancel_hop(self._heard[at : at + hop_bytes], self._played[at : at + hop_bytes])
        del self._heard[:whole_bytes], self._played[:whole_bytes]
        out = bytes(self._ready[: len(heard)])
        del self._ready[: len(heard)]
        return out

    def _cancel_hop(self, heard: bytearray, played: bytearray) -> bytes:
        import numpy as np  # loaded with the filter

        sounds = [np.frombuffer(frames, "<i2").astype(np.float32) / _FULL_SCALE for frames in (heard, played)]
        left = self._rest.process(self._filter.subtract(*sounds), sounds[1])
        whole = np.clip(np.rint(left * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
        return bytes(whole.data)
