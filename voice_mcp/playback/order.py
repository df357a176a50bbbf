"""What one run of sound asks of its device, as the audio process is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voice_mcp.pipe.wire import Command, pack_json
from voice_mcp.playback.config import LinkConfig
from voice_mcp.types import PcmFormat

IN_CONVERTER_S = 0.01
"""Of what is on its way a converter keeps a little to itself: up to 2 ms at the rates there are."""
SIDES = 2
"""Channels a device needs for a voice that sits anywhere but in the middle."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    fmt: PcmFormat
    start_s: float | None = None
    """Seconds to collect before the first frame leaves; None takes what is configured."""
    to_file: bool = False
    path: Path | None = None
    pan: float = 0.0
    rebuffer_s: float | None = None
    """Seconds to collect after a gap; None takes what is configured."""

    def pan_on(self, device: PcmFormat) -> float:
        """Where the voice sits on that device; a file and a device with one channel take it as it is."""
        return 0.0 if self.to_file or device.channels < SIDES else self.pan

    def begin(self, number: int, config: LinkConfig) -> bytes:
        """The message with which run ``number`` begins."""
        policy = config.policy
        return pack_json(
            Command.BEGIN,
            n=number,
            rate_hz=self.fmt.rate_hz,
            channels=self._channels(config),
            backends=("file",) if self.to_file else config.backends,
            device=config.device,
            path=str(self.path) if self.path is not None else None,
            start_s=policy.start_s if self.start_s is None else self.start_s,
            rebuffer_s=policy.rebuffer_s if self.rebuffer_s is None else self.rebuffer_s,
            # Nobody can wait for more than may be on its way.
            most_s=min(policy.most_s, max(config.ahead_s - IN_CONVERTER_S, config.ahead_s / 2)),
            wake_s=config.wake_s,
        )

    def _channels(self, config: LinkConfig) -> int:
        if self.to_file:
            return self.fmt.channels
        channels = config.channels or self.fmt.channels
        return max(SIDES, channels) if self.pan else channels
