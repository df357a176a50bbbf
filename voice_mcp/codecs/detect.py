"""Which decoder a stream of bytes needs: what it looks like counts first, then what the server called it."""

from __future__ import annotations

from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.errors import NotAudio, UnsupportedFormat
from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

HEAD_BYTES = 12
"""Bytes that are enough to recognise every signature below."""

_SIGNATURES = (
    (b"RIFF", "wav"),
    (b"RF64", "wav"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
    (b"OggS", "opus"),
)
_MEDIA_TYPES = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/opus": "opus",
    "audio/ogg": "opus",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
    "audio/x-raw": "pcm",
}
_TEXT_TYPES = ("text/", "application/json", "application/problem+json", "application/xml", "application/xhtml")


def choose_decoder(head: bytes, media_type: str, asked: str, pcm_format: PcmFormat) -> Decoder:
    """The decoder for a stream.

    Args:
        head: Its first bytes; ``HEAD_BYTES`` are enough.
        media_type: What the server called it (Content-Type), or an empty string.
        asked: The format that was asked for; believed only when nothing else says anything.
        pcm_format: The shape of the frames if they are raw PCM.

    Raises:
        NotAudio: It is a web page, JSON or text.
        UnsupportedFormat: It is audio that this version cannot play.
    """
    name = media_type.partition(";")[0].strip().lower()
    if name.startswith(_TEXT_TYPES):
        raise NotAudio(f"The endpoint sent {name} instead of audio.")
    encoding = next((encoding for signature, encoding in _SIGNATURES if head.startswith(signature)), None)
    encoding = encoding or _MEDIA_TYPES.get(name) or asked
    if encoding == "wav":
        return WavDecoder()
    if encoding == "pcm":
        return PcmDecoder(pcm_format)
    raise UnsupportedFormat(f"The endpoint sent {encoding} audio, which cannot be played yet.")
