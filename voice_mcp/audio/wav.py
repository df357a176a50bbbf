"""WAV files that are right at every moment of their growth (RIFF WAVE, PCM, signed 16-bit little-endian)."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from voice_mcp.errors import StorageError
from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

WAV_HEADER_BYTES = 44
_UNKNOWN_SIZE = 0xFFFFFFFF
_PCM = 1
_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def wav_header(fmt: PcmFormat, data_bytes: int) -> bytes:
    """The 44 bytes in front of ``data_bytes`` bytes of PCM.

    The two size fields hold 32 bits. When the audio is too long for them both say 0xFFFFFFFF, which decoders take as
    "up to the end of the file".
    """
    riff_bytes = WAV_HEADER_BYTES - 8 + data_bytes
    if riff_bytes > _UNKNOWN_SIZE:
        riff_bytes = data_bytes = _UNKNOWN_SIZE
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        fmt.channels,
        fmt.rate_hz,
        fmt.rate_hz * fmt.frame_bytes,
        fmt.frame_bytes,
        BYTES_PER_SAMPLE * 8,
        b"data",
        data_bytes,
    )


class GrowingWav:
    """A WAV file whose header is right after every block, so that a killed process leaves a file that plays.

    The file is private (0600). A new file is made; an empty one, as a reservation leaves it, is taken over; one that
    holds anything, and a symbolic link, is refused. Each block goes to the operating system at once: it survives the
    process, not a power cut. A block that cannot be written whole is taken back, so the file ends with the last whole
    block and the next one may be tried.

    One owner at a time; not for several threads. Lives in the audio process (file backend) and in storage.

    Raises:
        StorageError: The file cannot be made, or a block cannot be written.
    """

    def __init__(self, path: Path, fmt: PcmFormat) -> None:
        self.path = path
        self._fmt = fmt
        self._data_bytes = 0
        self._fd = -1
        with self._telling_of_failure():
            self._fd = _open_new_or_empty(path)
            try:
                self._write(b"", 0)
            except OSError:
                self.close()
                raise

    @property
    def frames(self) -> int:
        """Whole frames in the file."""
        return self._fmt.frames(self._data_bytes)

    def append(self, pcm: bytes) -> None:
        """Add audio, of any length, to the end."""
        with self._telling_of_failure():
            self._write(pcm, self._data_bytes + len(pcm))

    def append_silence(self, frames: int) -> None:
        """Add ``frames`` silent frames, as a hole: it costs neither time nor disk space where files may have holes."""
        with self._telling_of_failure():
            self._write(b"", self._data_bytes + frames * self._fmt.frame_bytes)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _write(self, pcm: bytes, data_bytes: int) -> None:
        """Put ``pcm`` at the end, make the data ``data_bytes`` long, and say so in the header."""
        try:
            if pcm:
                _write_at(self._fd, WAV_HEADER_BYTES + self._data_bytes, pcm)
            else:
                os.ftruncate(self._fd, WAV_HEADER_BYTES + data_bytes)
            # After the data: a process killed in between leaves a header that counts what was there before.
            whole_bytes = self._fmt.frames(data_bytes) * self._fmt.frame_bytes
            _write_at(self._fd, 0, wav_header(self._fmt, whole_bytes))
        except OSError:
            # A file that never held audio goes back to empty, so that it can be taken over again.
            os.ftruncate(self._fd, WAV_HEADER_BYTES + self._data_bytes if self._data_bytes else 0)
            raise
        self._data_bytes = data_bytes

    @contextmanager
    def _telling_of_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StorageError(f"{self.path.name} could not be written: {exc.strerror or exc}.") from exc


def _open_new_or_empty(path: Path) -> int:
    try:
        fd = os.open(path, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fd = os.open(path, _OPEN_FLAGS)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size:
            os.close(fd)
            raise
    return fd


def _write_at(fd: int, offset_bytes: int, data: bytes) -> None:
    """Write all of ``data``; the system may take it in parts. Seeks, for Windows has no pwrite."""
    os.lseek(fd, offset_bytes, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
