"""Which decoder a stream of bytes needs: what it looks like counts first, then what the server called it.

Two bytes of raw frames can look like an MPEG header by chance, so such a header counts when the server or the request
says the same, or when a second one follows where the first frame ends.
"""

from __future__ import annotations

from collections.abc import Callable

from voice_mcp.codecs import aac, mp3, ogg, opus_packets, tags, text
from voice_mcp.codecs.aac import AacDecoder
from voice_mcp.codecs.flac import MARKER, FlacDecoder
from voice_mcp.codecs.mp3 import Mp3Decoder
from voice_mcp.codecs.ogg import OggVorbisDecoder
from voice_mcp.codecs.ogg_pages import MAGIC
from voice_mcp.codecs.opus import OpusDecoder
from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.codecs.sync_frames import FrameHeader
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.codecs.whole import CONTAINERS, SIGNATURE_BYTES, FileDecoder, container_of
from voice_mcp.errors import NotAudio, UnsupportedFormat
from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

HEAD_BYTES = mp3.MOST_FRAME_BYTES + mp3.HEADER_BYTES
"""Bytes that are enough to decide in every case; most need far fewer, see ``undecided``."""

_OGG_BYTES = 36
"""A page header, and the name of what is in the page."""
_ID3_BYTES = 10
_MEDIA_TYPES = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/x-mp3": "mp3",
    "audio/mpeg3": "mp3",
    "audio/aac": "aac",
    "audio/aacp": "aac",
    "audio/x-aac": "aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/opus": "opus",
    "audio/ogg": "ogg",
    "application/ogg": "ogg",
    "audio/vorbis": "ogg",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
    "audio/x-raw": "pcm",
}
_DECODERS: dict[str, Callable[[], Decoder]] = {
    "wav": WavDecoder,
    "mp3": Mp3Decoder,
    "aac": AacDecoder,
    "flac": FlacDecoder,
    "opus": OpusDecoder,
    "ogg": OggVorbisDecoder,
}
_MPEG: tuple[tuple[str, Callable[[bytes, int], FrameHeader | None], int], ...] = (
    ("mp3", mp3.read_header, mp3.HEADER_BYTES),
    ("aac", aac.read_header, aac.HEADER_BYTES),
)


def choose_decoder(head: bytes, media_type: str, asked: str, pcm_format: PcmFormat) -> Decoder:
    """The decoder for a stream.

    Args:
        head: Its first bytes: as many as it has, or so many that they are not ``undecided``.
        media_type: What the server called it (Content-Type), or an empty string.
        asked: The format that was asked for; believed only when nothing else says anything.
        pcm_format: The shape of the frames if they are raw PCM.

    Raises:
        NotAudio: It is a web page, JSON or text.
        UnsupportedFormat: It is audio that cannot be played here.
        CodecMissing: What decodes it is not installed.
    """
    name = _bare(media_type)
    encoding = _signature(head, name, asked) or ""
    if not encoding and (text.is_text_type(name) or text.is_text(head)):
        raise _words(head, name)
    encoding = encoding or _called(name, asked)
    if encoding == "pcm":
        return PcmDecoder(pcm_format)
    if encoding in _DECODERS:
        return _DECODERS[encoding]()
    container = next((kind for kind in CONTAINERS if kind.name == encoding), None)
    if container is None:
        raise UnsupportedFormat(f"The endpoint sent {encoding} audio, which cannot be played.")
    return FileDecoder(container)


def undecided(head: bytes, media_type: str, asked: str) -> bool:
    """Whether more bytes could make ``choose_decoder`` choose another decoder.

    Raw frames wait for 12 bytes, or for one MPEG frame when they look like the beginning of one.
    """
    name = _bare(media_type)
    if len(head) < SIGNATURE_BYTES:
        return True
    if head.startswith(MAGIC):
        return len(head) < _OGG_BYTES
    if _signature(head, name, asked):
        return False
    if any(_needs_more(head, read_header, size) for _, read_header, size in _MPEG):
        return True
    words = text.is_text_type(name) or text.printable(head) is not None
    return words and len(head) < text.HEAD_BYTES


def _needs_more(head: bytes, read_header: Callable[[bytes, int], FrameHeader | None], header_bytes: int) -> bool:
    """Whether a frame seems to begin, and what follows it is not there yet."""
    header = read_header(head, 0)
    return header is not None and len(head) < min(header.size_bytes + header_bytes, HEAD_BYTES)


def _bare(media_type: str) -> str:
    """The Content-Type without its parameters; the one that matters is what an Ogg stream holds."""
    name, _, parameters = media_type.lower().partition(";")
    return "audio/opus" if name.strip() == "audio/ogg" and "opus" in parameters else name.strip()


def _called(name: str, asked: str) -> str:
    """What the server called it; what was asked for if that says nothing."""
    by_container = {media_type: kind.name for kind in CONTAINERS for media_type in kind.media_types}
    encoding = _MEDIA_TYPES.get(name) or by_container.get(name) or asked
    # Ogg is a container; where its first page does not say what is in it, the request has to.
    return "opus" if encoding == "ogg" and asked == "opus" else encoding


def _signature(head: bytes, name: str, asked: str) -> str | None:
    """The format these bytes show; None when they show none."""
    if head.startswith((b"RIFF", b"RF64")):
        return "wav"
    if head.startswith(MARKER):
        return "flac"
    if head.startswith(MAGIC):
        return _in_ogg(head, name, asked)
    if container := container_of(head):
        return container.name
    called = _called(name, asked)
    if tags.is_id3v2(head[:_ID3_BYTES]):
        return "aac" if called == "aac" else "mp3"
    return _mpeg(head, (called, asked))


def _in_ogg(head: bytes, name: str, asked: str) -> str | None:
    """What an Ogg page holds."""
    if opus_packets.HEAD_MAGIC in head[:_OGG_BYTES]:
        return "opus"
    if ogg.MAGIC in head[:_OGG_BYTES]:
        return "ogg"
    if len(head) >= _OGG_BYTES:
        raise UnsupportedFormat("The endpoint sent Ogg audio that is neither Opus nor Vorbis.")
    called = _called(name, asked)
    return called if called in ("opus", "ogg") else "opus"


def _mpeg(head: bytes, said: tuple[str, ...]) -> str | None:
    """Whether MP3 or AAC frames begin here."""
    for encoding, read_header, header_bytes in _MPEG:
        header = read_header(head, 0) if len(head) >= header_bytes else None
        if header is None:
            continue
        if encoding in said:
            return encoding
        end = header.size_bytes
        following = read_header(head, end) if len(head) >= end + header_bytes else None
        if following is not None and following.kind == header.kind:
            return encoding
    return None


def _words(head: bytes, name: str) -> NotAudio:
    """The error for an answer that is words."""
    what = name if text.is_text_type(name) else "text"
    words = text.quoted(head)
    return NotAudio(f"The endpoint sent {what} instead of audio" + (f": {words!r}." if words else "."))
