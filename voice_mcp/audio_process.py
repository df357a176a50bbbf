"""The audio process's door (``python -m voice_mcp.audio_process``): the only file that joins player and backends."""

from __future__ import annotations

import os
from importlib import import_module

from voice_mcp.protocols import OutputBackend

BACKENDS = {
    "sounddevice": "SounddeviceBackend",
    "miniaudio": "MiniaudioBackend",
    "file": "FileBackend",
    "null": "NullBackend",
}
"""File in ``backends/`` (and value of VOICEMODE_AUDIO_OUTPUT) to class."""


def load_backend(name: str) -> OutputBackend:
    """The backend of that name, imported when it is first asked for.

    Raises:
        DeviceUnavailable: Its library is missing.
    """
    module = import_module(f"voice_mcp.backends.{name}")
    backend: OutputBackend = getattr(module, BACKENDS[name])()
    return backend


if __name__ == "__main__":
    # So that PulseAudio's volume controls show whose voice it is, and ducking leaves it alone.
    os.environ.setdefault("PULSE_PROP", "application.id=voice-mcp application.name=voice-mcp")
    from voice_mcp.playback.process import run

    run(load_backend)
