"""Audio that is collected whole before a frame of it is heard: files with an index, and where streaming is not wanted.

``FileDecoder`` collects MP4, WebM, AIFF and the like, and pydub, which asks ffmpeg, decodes them when the last byte has
come. ``WholeFileDecoder`` does the same with any other decoder, for VOICEMODE_STREAMING_ENABLED=false.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from voice_mcp.audio.segments import audio_segment
from voice_mcp.errors import CodecMissing, NotAudio, UnsupportedFormat
from voice_mcp.protocols import Decoder
from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

MOST_BYTES = 64 << 20
"""More than this is not collected: four hours of MP4 as speech services make it."""
MOST_FRAMES_BYTES = 512 << 20
"""More frames than this are not made of it: an hour and a half at 48 kHz."""
SIGNATURE_BYTES = 12
"""Bytes that are enough to recognise a container."""

_SLICE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file."""

    name: str
    ffmpeg_name: str
    """What ffmpeg calls the reader."""
    marks: tuple[tuple[int, bytes], ...]
    """Its signature: what stands where."""
    media_types: tuple[str, ...]
    """What servers call it (Content-Type)."""


CONTAINERS = (
    Container("mp4", "mp4", ((4, b"ftyp"),), ("audio/mp4", "audio/m4a", "audio/x-m4a", "video/mp4")),
    Container("webm", "matroska", ((0, b"\x1a\x45\xdf\xa3"),), ("audio/webm", "video/webm", "audio/x-matroska")),
    Container("aiff", "aiff", ((0, b"FORM"), (8, b"AIF")), ("audio/aiff", "audio/x-aiff")),
    Container("caf", "caf", ((0, b"caff"),), ("audio/x-caf",)),
    Container("wma", "asf", ((0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),), ("audio/x-ms-wma",)),
    Container("amr", "amr", ((0, b"#!AMR"),), ("audio/amr",)),
    Container("au", "au", ((0, b".snd"),), ("audio/basic",)),
)


def container_of(head: bytes) -> Container | None:
    """The container that begins with these ``SIGNATURE_BYTES`` bytes; None when none does."""
    return next((kind for kind in CONTAINERS if all(head.startswith(mark, at) for at, mark in kind.marks)), None)


class Collector:
    """Keeps what arrives, up to ``MOST_BYTES``."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def add(self, data: bytes) -> None:
        """Keep the next bytes.

        Raises:
            UnsupportedFormat: It is too much to be kept.
        """
        self._parts += data
        if len(self._parts) > MOST_BYTES:
            self._parts.clear()
            raise UnsupportedFormat(
                f"The audio is longer than {MOST_BYTES >> 20} MB, and cannot be played before all of it is there.",
                hint="Ask for shorter texts, or for a format that can be streamed: pcm, wav, mp3, aac, flac, opus.",
            )

    def head(self) -> bytes:
        """The first ``SIGNATURE_BYTES`` bytes, or as many as there are."""
        return bytes(self._parts[:SIGNATURE_BYTES])

    def take(self) -> bytes:
        """All of it, once."""
        data, self._parts = bytes(self._parts), bytearray()
        return data


class FileDecoder:
    """A ``Decoder`` for one kind of container: nothing comes out before ``flush``, which may take a while.

    Args:
        container: What it is. Nothing else is accepted: ffmpeg would also read playlists, which name other files.
    """

    def __init__(self, container: Container) -> None:
        self.decode_errors = 0
        self._container = container
        self._collector = Collector()
        self._format: PcmFormat | None = None

    @property
    def format(self) -> PcmFormat | None:
        return self._format

    def decode(self, data: bytes) -> bytes:
        self._collector.add(data)
        head = self._collector.head()
        if len(head) == SIGNATURE_BYTES and container_of(head) != self._container:
            raise NotAudio(f"What arrived is not {self._container.name} audio.")
        return b""

    def flush(self) -> bytes:
        data = self._collector.take()
        if not data:
            return b""
        if container_of(data[:SIGNATURE_BYTES]) != self._container:
            raise NotAudio(f"What arrived is not {self._container.name} audio.")
        segment = _segment(data, self._container)
        if not segment.channels or not segment.frame_rate:
            raise NotAudio(f"The {self._container.name} file holds no sound.")
        self._format = PcmFormat(segment.frame_rate, segment.channels)
        return bytes(segment.set_sample_width(BYTES_PER_SAMPLE).raw_data)


class WholeFileDecoder:
    """A ``Decoder`` that gives another one everything at once, when everything is there.

    Args:
        inner: What decodes it.
    """

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._collector = Collector()

    @property
    def format(self) -> PcmFormat | None:
        return self._inner.format

    @property
    def decode_errors(self) -> int:
        return self._inner.decode_errors

    def decode(self, data: bytes) -> bytes:
        self._collector.add(data)
        return b""

    def flush(self) -> bytes:
        data, frames = self._collector.take(), bytearray()
        for start in range(0, len(data), _SLICE_BYTES):
            frames += self._inner.decode(data[start : start + _SLICE_BYTES])
            if len(frames) > MOST_FRAMES_BYTES:
                raise NotAudio("The audio claims to be longer than it can be.")
        return bytes(frames + self._inner.flush())


def _segment(data: bytes, container: Container) -> Any:
    """The file, decoded: pydub's ``AudioSegment``.

    Raises:
        CodecMissing: pydub or ffmpeg is not installed.
        NotAudio: ffmpeg cannot read it.
    """
    try:
        reader = audio_segment()
        from pydub.exceptions import CouldntDecodeError  # there once the door is open
    except CodecMissing as exc:
        raise _missing(container, "pydub", exc.hint) from exc
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pydub's way to say that ffmpeg is missing; ours follows
        try:
            return reader.from_file(io.BytesIO(data), format=container.ffmpeg_name)
        except FileNotFoundError as exc:
            raise _missing(container, "ffmpeg", "Install ffmpeg.") from exc
        except (CouldntDecodeError, LookupError, ValueError) as exc:
            # pydub looks up what ffprobe says about the sound, and fails like this when it says nothing.
            raise NotAudio(f"The {container.name} file cannot be decoded.") from exc


def _missing(container: Container, program: str, remedy: str) -> CodecMissing:
    return CodecMissing(
        f"The endpoint sent a {container.name} file, which cannot be decoded without {program}.",
        hint=f"{remedy} Or ask for another format: set VOICEMODE_TTS_AUDIO_FORMAT to pcm, wav or mp3.",
    )
