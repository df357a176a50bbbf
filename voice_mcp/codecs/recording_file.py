"""A recording in any format the writer writes, with the verbs of ``GrowingWav``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from voice_mcp.codecs.writer import StreamingAudioWriter, synthetic_tags
from voice_mcp.errors import CodecError, InvalidInput, StorageError
from voice_mcp.types import PcmFormat

_SILENCE_BLOCK_FRAMES = 4096
_TRIED = PcmFormat(24_000, 1)


def check_recording_format(audio_format: str) -> None:
    """See whether recordings can be made in a format.

    Raises:
        CodecMissing: Its library is not installed.
    """
    StreamingAudioWriter(audio_format, _TRIED.rate_hz, _TRIED.channels).close()


class RecordingFile:
    """An encoded file that grows: usable up to the last block that was written, and exact once it is closed.

    Takes over the empty file of a reservation, and refuses one that holds anything. One owner at a time.

    Args:
        path: The file.
        fmt: The shape of the frames.
        audio_format: One of the writer's formats.
        synthetic: Say in a tag that this is synthetic speech; not for what a microphone heard.

    Raises:
        StorageError: The file cannot be made, or a block cannot be encoded or written.
    """

    def __init__(self, path: Path, fmt: PcmFormat, audio_format: str, *, synthetic: bool = False) -> None:
        self._fmt = fmt
        self._file = _take_over(path)
        try:
            with _as_storage_error():
                tags = synthetic_tags(audio_format, is_stream=False) if synthetic else None
                self._writer = StreamingAudioWriter(
                    audio_format, fmt.rate_hz, fmt.channels, seekable=self._file, tags=tags
                )
        except StorageError:
            self._file.close()
            raise

    def append(self, pcm: bytes) -> None:
        """Add a block of whole frames."""
        with _as_storage_error():
            self._writer.write_chunk(pcm)

    def append_silence(self, frames: int) -> None:
        """Add ``frames`` frames of silence."""
        while frames > 0:
            block = min(frames, _SILENCE_BLOCK_FRAMES)
            self.append(bytes(block * self._fmt.frame_bytes))
            frames -= block

    def close(self) -> None:
        """Put the header right and let go."""
        try:
            with _as_storage_error():
                self._writer.finalize()
        finally:
            self._file.close()


@contextmanager
def _as_storage_error() -> Iterator[None]:
    """Whoever keeps records asks only whether they are kept."""
    try:
        yield
    except (CodecError, InvalidInput) as exc:
        raise StorageError(f"The recording could not be encoded: {exc.message}") from exc


def _take_over(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        if os.fstat(file.fileno()).st_size:
            file.close()
            raise StorageError(f"{path.name} already holds something.")
    except OSError as exc:
        raise StorageError(f"{path.name} could not be made: {exc.strerror or exc}.") from exc
    return file
