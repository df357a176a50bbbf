"""A whole piece of sound as a file in memory, small enough to be sent somewhere."""

from __future__ import annotations

from voice_mcp.codecs.writer import StreamingAudioWriter
from voice_mcp.errors import UnsupportedFormat
from voice_mcp.types import AudioClip, PcmFormat

MOST_UPLOAD_BYTES = 25_000_000
"""What transcription services take. Source: OpenAI, Audio API FAQ (25 MiB), less what the other fields need."""
_EXTENSIONS = {"opus": "ogg"}
"""Where a file is not named after its codec: OpenAI refuses the same bytes under the name ``.opus``."""


def make_clip(frames: bytes, fmt: PcmFormat, audio_format: str) -> AudioClip:
    """Frames as a file in one of the writer's formats.

    Raises:
        CodecMissing: The library for the format is not installed.
        CodecError: The encoder failed.
    """
    with StreamingAudioWriter(audio_format, fmt.rate_hz, fmt.channels, frames=fmt.frames(len(frames))) as writer:
        data = writer.write_chunk(frames, finalize=True)
    return AudioClip(data, _EXTENSIONS.get(audio_format, audio_format), writer.media_type)


def make_upload(frames: bytes, fmt: PcmFormat, most_bytes: int = MOST_UPLOAD_BYTES) -> AudioClip:
    """Frames as a file for a server on the other side of a network: FLAC, and Opus where that would be too large.

    Args:
        frames: The sound.
        fmt: Its shape.
        most_bytes: How large the file may be.

    Raises:
        UnsupportedFormat: It is too long even so: with what services take, a hundred minutes.
    """
    for audio_format in ("flac", "opus"):
        clip = make_clip(frames, fmt, audio_format)
        if len(clip.data) <= most_bytes:
            return clip
    minutes = fmt.seconds(fmt.frames(len(frames))) / 60
    raise UnsupportedFormat(
        f"{minutes:.0f} minutes of sound are more than transcription services take.", hint="Speak in shorter turns."
    )
