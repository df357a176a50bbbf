"""Vorbis in Ogg, by libsndfile: the encoders of FFmpeg that PyAV brings cannot do it."""

from __future__ import annotations

import importlib
import os
from typing import Any

from voice_mcp.codecs.encoders.base import Blocks, EncodingJob
from voice_mcp.codecs.encoders.outputs import Output
from voice_mcp.codecs.encoders.tags import with_unknown_in_comment
from voice_mcp.errors import CodecError, CodecMissing, VoiceError

BLOCK_FRAMES = 1024
"""libsndfile keeps each write on its stack: long ones crash it. Equal ones make equal bytes."""
_KNOWN_TAGS = (
    "title",
    "artist",
    "album",
    "comment",
    "copyright",
    "date",
    "genre",
    "license",
    "software",
    "tracknumber",
)


class VorbisEncoder:
    """An ``Encoder`` for Vorbis in Ogg.

    libsndfile fills pages of 4 KiB, which takes 0.7 to 0.9 s of speech: for files, not for talking. Each stream has its
    own random serial number, so two runs differ in that and in the checksums.
    """

    def __init__(self, job: EncodingJob) -> None:
        self.rate_hz = job.fmt.rate_hz
        self._blocks = Blocks(BLOCK_FRAMES * job.fmt.frame_bytes)
        self._file = _VirtualFile(job.output)
        soundfile = _soundfile()
        self._failures: type[Exception] = soundfile.SoundFileError
        try:
            self._sound: Any = soundfile.SoundFile(
                self._file, "w", job.fmt.rate_hz, job.fmt.channels, format="OGG", subtype="VORBIS"
            )
            for name, value in with_unknown_in_comment(job.tags, _KNOWN_TAGS).items():
                setattr(self._sound, name, value)
        except self._failures as exc:
            raise CodecError(f"Vorbis could not be encoded: {exc}", hint="Try another format.") from exc

    def encode(self, frames: bytes) -> None:
        for block in self._blocks.cut(frames):
            self._write(block)

    def finish(self) -> None:
        rest = self._blocks.rest()
        if rest:
            self._write(rest)
        self.abandon()

    def abandon(self) -> None:
        self._sound.close()
        self._file.complain()

    def _write(self, block: bytes) -> None:
        try:
            self._sound.buffer_write(block, dtype="int16")
        except self._failures as exc:
            self._file.complain()
            raise CodecError(f"Vorbis could not be encoded: {exc}", hint="Try another format.") from exc
        self._file.complain()


class _VirtualFile:
    """The output as libsndfile wants to see it: it asks where it is and never goes back.

    An exception cannot pass through C code, so a failure is kept until somebody asks.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._end = 0
        self._failure: VoiceError | None = None

    def write(self, data: bytes) -> int:
        if self._failure is not None:
            return 0
        try:
            self._output.write(data)
        except VoiceError as exc:
            self._failure = exc
            return 0
        self._end += len(data)
        return len(data)

    def tell(self) -> int:
        return self._end

    def seek(self, offset_bytes: int, whence: int = os.SEEK_SET) -> int:
        """Stay: wherever libsndfile goes while it writes Ogg, it is the end."""
        return self._end

    def complain(self) -> None:
        """Raise what was kept."""
        if self._failure is not None:
            raise self._failure


def _soundfile() -> Any:
    try:
        return importlib.import_module("soundfile")  # 100 ms with numpy, and not installed for everybody
    except (ImportError, OSError) as exc:  # the second when libsndfile itself is missing
        raise CodecMissing("Ogg Vorbis needs soundfile.", hint='Run `pip install "voice-mcp[ogg]"`.') from exc
