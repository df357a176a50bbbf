"""voice-mcp: gives AI agents a voice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice_mcp.codecs.writer import StreamingAudioWriter as StreamingAudioWriter
    from voice_mcp.library.player import StreamingAudioPlayer as StreamingAudioPlayer
    from voice_mcp.library.tts import TTS as TTS

__version__ = "0.1.0"
__all__ = ["TTS", "StreamingAudioPlayer", "StreamingAudioWriter", "__version__"]

# By their names, so that the rooms below, which import this package for its version, do not come to depend on them.
_HOMES = {
    "StreamingAudioWriter": "voice_mcp.codecs.writer",
    "StreamingAudioPlayer": "voice_mcp.library.player",
    "TTS": "voice_mcp.library.tts",
}


def __getattr__(name: str) -> object:
    """What programs import from here, loaded when they do: the server starts with nothing of it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
