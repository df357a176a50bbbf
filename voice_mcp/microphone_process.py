"""The door of the process that listens (``python -m voice_mcp.microphone_process``): joins capture and backends."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from voice_mcp.pipe.wire import OFFLINE
from voice_mcp.protocols import InputBackend

BACKENDS = {
    "sounddevice": "SounddeviceInput",
    "miniaudio": "MiniaudioInput",
    "file": "FileInput",
    "null": "NullInput",
}
"""Value of VOICEMODE_AUDIO_INPUT to class; its file in ``backends/`` is called the same with ``_input``."""


def load_backend(name: str) -> InputBackend:
    """The backend of that name, imported when it is first asked for.

    Raises:
        MicrophoneUnavailable: Its library is missing.
    """
    module = import_module(f"voice_mcp.backends.{name}_input")
    backend: InputBackend = getattr(module, BACKENDS[name])()
    return backend


if __name__ == "__main__":
    if OFFLINE in sys.argv:
        from voice_mcp.offline import refuse_the_network

        refuse_the_network()
    # So that the sound server's controls show who listens.
    os.environ.setdefault("PULSE_PROP", "application.id=voice-mcp application.name=voice-mcp")
    from voice_mcp.capture.process import run

    run(load_backend)
