"""How the audio process that listens is to do it: what the settings say, in the words of this room."""

from __future__ import annotations

from dataclasses import dataclass

INPUT_BACKENDS = ("sounddevice", "miniaudio")
"""What VOICEMODE_AUDIO_INPUT=auto tries, in order."""


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """How to listen."""

    backends: tuple[str, ...] = INPUT_BACKENDS
    device: str | None = None
    device_wait_s: float = 5.0
    """How long a microphone that is lost or held by somebody else is waited for; 0 does without."""
    open_s: float = 5.0
    """How long a microphone may take to open and to give its first frame; Bluetooth needs seconds."""
    answer_s: float = 3.0
    """How long the audio process may be silent while it listens; it reports fifty times a second."""
    close_s: float = 1.0
    """How long a microphone may take to close; then its process is killed."""
    linger_s: float = 10.0
    """How long the audio process outlives a capture, without a microphone, so that the next one opens sooner."""
    ready_s: float = 60.0
    """The same for one that was started ahead of need."""
