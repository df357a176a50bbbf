"""Where encoded bytes go: into a stream that only grows, or into a file whose beginning can still be put right."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, runtime_checkable

from voice_mcp.errors import StorageError, WriterMisuse

FileTarget = BinaryIO | str | os.PathLike[str]
"""A binary file that is open for writing and can seek, or the path of one to make."""


class Output(Protocol):
    """What an encoder writes to."""

    @property
    def patchable(self) -> PatchableOutput | None:
        """The same output, if what was written can still be changed."""
        ...

    def write(self, data: bytes) -> int:
        """Add bytes; returns how many: all of them."""
        ...

    def take(self) -> bytes:
        """What is new for the caller since the last time."""
        ...

    def close(self) -> None:
        """Let go. What is written from now on is dropped: libraries write farewells that nobody asked for."""
        ...


class PatchableOutput(Output, Protocol):
    """An output that can go back."""

    def seek(self, offset_bytes: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; returns the offset from the beginning of this output."""
        ...

    def tell(self) -> int:
        """The offset of the next byte."""
        ...


class StreamOutput:
    """Keeps what is written until it is taken. It has no ``seek``, so that no library can try to rewrite the past."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._open = True

    @property
    def patchable(self) -> PatchableOutput | None:
        return None

    def write(self, data: bytes) -> int:
        if self._open and data:
            self._pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def close(self) -> None:
        self._open = False


class FileOutput:
    """Writes through to a file. Offsets count from where the file stood when it was handed over.

    A path is opened unbuffered and closed at the end; an open file stays its owner's, who closes it.

    Raises:
        StorageError: The file cannot be opened or written.
        WriterMisuse: The file object cannot seek or is not open for writing bytes.
    """

    def __init__(self, target: FileTarget) -> None:
        self._owned = isinstance(target, str | os.PathLike)
        self._name = os.fspath(target) if isinstance(target, str | os.PathLike) else "The file"
        with self._telling_of_failure():
            self._file = _opened(target)
            self._start = self._file.tell()
        self._open = True

    @property
    def patchable(self) -> PatchableOutput | None:
        return self

    def write(self, data: bytes) -> int:
        if self._open:
            with self._telling_of_failure():
                rest = memoryview(data)
                while rest:
                    # An unbuffered file may take part of it; home-made ones take all and say nothing.
                    rest = rest[self._file.write(rest) or len(rest) :]
        return len(data)

    def seek(self, offset_bytes: int, whence: int = os.SEEK_SET) -> int:
        if not self._open:
            return offset_bytes
        with self._telling_of_failure():
            start = self._start if whence == os.SEEK_SET else 0
            return self._file.seek(start + offset_bytes, whence) - self._start

    def tell(self) -> int:
        if not self._open:
            return 0
        with self._telling_of_failure():
            return self._file.tell() - self._start

    def take(self) -> bytes:
        return b""

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with self._telling_of_failure():
            if self._owned:
                self._file.close()
            else:
                self._file.flush()

    @contextmanager
    def _telling_of_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StorageError(f"{self._name} could not be written: {exc.strerror or exc}.") from exc


def _opened(target: FileTarget) -> BinaryIO:
    if isinstance(target, str | os.PathLike):
        # Unbuffered, so that a process that is killed leaves all it had encoded.
        return open(target, "wb", buffering=0)
    if not _can_seek_and_write(target):
        raise WriterMisuse(
            f"{type(target).__name__} is not a binary file that can seek.",
            hint="Pass a path or a seekable binary file, or leave `seekable` out to get the bytes back.",
        )
    return target


def _can_seek_and_write(file: object) -> bool:
    if isinstance(file, io.TextIOBase) or not isinstance(file, _File):
        return False
    # A file in append mode seeks, and writes at its end nevertheless.
    return file.seekable() and file.writable() and "a" not in str(getattr(file, "mode", ""))


@runtime_checkable
class _File(Protocol):
    """What is asked of a file."""

    def write(self, data: bytes, /) -> int: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def flush(self) -> None: ...
    def seekable(self) -> bool: ...
    def writable(self) -> bool: ...
