"""voice-mcp: gives AI agents a voice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice_mcp.codecs.writer import StreamingAudioWriter as StreamingAudioWriter

__version__ = "0.1.0"
__all__ = ["StreamingAudioWriter", "__version__"]


def __getattr__(name: str) -> object:
    """What programs import from here, loaded when they do: the server starts with nothing of it."""
    if name == "StreamingAudioWriter":
        # By its name, so that the rooms below, which import this package for its version, do not come to depend on it.
        return importlib.import_module("voice_mcp.codecs.writer").StreamingAudioWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
