"""The one door to pydub, whose ``AudioSegment`` cuts, fades and levels audio."""

from __future__ import annotations

import warnings
from typing import Any

from voice_mcp.errors import CodecMissing

_KNOWN_WARNINGS = (
    (SyntaxWarning, r"(invalid escape sequence|.* is an invalid escape sequence)"),
    # What Python 3.11 calls the same, and audioop, which came as a package of its own with 3.13.
    (DeprecationWarning, r"(invalid escape sequence|'audioop' is deprecated)"),
    (RuntimeWarning, r"Couldn't find (ffmpeg|ffprobe|avconv|avprobe)"),
)
"""What pydub 0.25.1 is known to warn of when it is imported; none of it concerns those who do not decode with it."""


def audio_segment() -> Any:
    """The class ``AudioSegment`` of pydub, which has no types.

    Raises:
        CodecMissing: pydub, or audioop on Python 3.13 and later, is not installed.
    """
    with warnings.catch_warnings():
        for category, message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        try:
            from pydub import AudioSegment  # 30 ms, and looks for programs
        except ImportError as exc:
            raise CodecMissing(
                "Editing audio needs pydub, which is not installed.",
                hint="Run `pip install pydub`, and on Python 3.13 or later `pip install audioop-lts`.",
            ) from exc
    return AudioSegment
