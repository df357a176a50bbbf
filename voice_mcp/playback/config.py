"""How the audio process is to play: what the settings say, in the words of this room."""

from __future__ import annotations

from dataclasses import dataclass

from voice_mcp.playback.player import BufferPolicy

DEVICE_BACKENDS = ("sounddevice", "miniaudio")
"""What VOICEMODE_AUDIO_OUTPUT=auto tries, in order; where both fail, the audio goes to a file."""


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How the audio process is to play."""

    backends: tuple[str, ...] = DEVICE_BACKENDS
    device: str | None = None
    channels: int | None = None
    """How many channels a device is asked for; None for as many as the sound has."""
    policy: BufferPolicy = BufferPolicy()
    ahead_s: float = 2.0
    """Seconds of audio that may be on the way to the device."""
    block_bytes: int = 4096
    """Largest piece that is handed over at once."""
    wake_s: float = 0.0
    """Silence a device that was just opened gets before the first frame."""
    device_wait_s: float = 5.0
    """How long a device that is lost or held by somebody else is waited for; 0 does without."""
    open_s: float = 5.0
    """How long a device may take to open; Bluetooth needs seconds."""
    answer_s: float = 3.0
    """How long the audio process may be silent afterwards; it reports four times a second, even when nothing moves."""
    stop_s: float = 1.0
    """How long a stop may take."""
