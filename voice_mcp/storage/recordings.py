"""Recordings: one audio file per utterance, numbered in the order of the conversation."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import Literal

from voice_mcp.audio.wav import GrowingWav
from voice_mcp.errors import StorageError
from voice_mcp.protocols import AudioFile, OpenAudioFile
from voice_mcp.storage.files import list_folder, open_private, storage_errors, write_all
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.types import PcmFormat

UtteranceKind = Literal["tts", "stt"]

_NAME = re.compile(r"(\d{4,})_(?:tts|stt)\.[a-z0-9]{1,8}", re.ASCII)
_WHAT_AUDIO = "The recording"
_WHAT_TEXT = "The transcript"


def utterance_number(name: str) -> int | None:
    """The number in a recording's or transcript's file name; None for any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


class Recordings:
    """The files ``audio/<conversation_id>/<NNNN>_<tts or stt>.<ext>``.

    Args:
        root: Where.
        journal: By whom.
        audio_format: The extension of new recordings.
        open_file: What makes a file of that format.
    """

    def __init__(
        self, root: DataRoot, journal: Journal, audio_format: str = "wav", open_file: OpenAudioFile = GrowingWav
    ) -> None:
        self._root = root
        self._journal = journal
        self._open_file = open_file
        self.audio_format = audio_format

    def reserve(self, conversation_id: str, kind: UtteranceKind, ext: str | None = None) -> Path:
        """Take the conversation's next number: makes the file, empty, and returns its path.

        No two processes get the same number, and what is said and what is heard share one row of numbers. Touches the
        disk and may wait for another process's turn: not for the event loop's thread.

        Raises:
            InvalidConversationId: It could not be a folder's name.
            StorageError: The file cannot be made.
            ValueError: ``ext`` is not 1 to 8 lower-case letters and digits.
        """
        folder = self._root.audio_dir(conversation_id)
        # One lock for all conversations: retention removes empty folders under it, never between these lines.
        with locked(self._root.make(self._root.audio)), storage_errors(f"{folder} could not be written"):
            self._root.make(folder)
            number = 1 + max((number for number, _ in _numbered(folder)), default=0)
            path = folder / f"{number:04d}_{kind}.{self.audio_format if ext is None else ext}"
            if utterance_number(path.name) is None:
                raise ValueError(f"{path.name} could not be told from other people's files")
            os.close(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        return path

    def release(self, path: Path) -> None:
        """Give a reserved number back when nothing was written under it; a file that holds something stays."""
        self._journal.submit(partial(_remove_if_empty, path), _WHAT_AUDIO)

    def start(self, path: Path, fmt: PcmFormat) -> Recording:
        """Record into a reserved file."""
        return Recording(path, fmt, self._journal, self._open_file)

    def save_transcript(self, path: Path, text: str) -> None:
        """Keep ``text`` next to the audio at ``path``, under the same name ending in ``.txt``, by the journal."""
        self._journal.submit(partial(_write_text, path.with_suffix(".txt"), text), _WHAT_TEXT)

    def save_transcript_alone(self, conversation_id: str, kind: UtteranceKind, text: str) -> None:
        """Keep ``text`` under a number of its own, where no audio is kept, by the journal."""

        def write() -> None:
            _write_text(self.reserve(conversation_id, kind, "txt"), text)

        self._journal.submit(write, _WHAT_TEXT)

    def files(self, conversation_id: str) -> list[Path]:
        """A conversation's recordings and transcripts in the order they were made; none when it has no folder.

        Raises:
            InvalidConversationId: It could not be a folder's name.
            StorageError: The folder cannot be listed.
        """
        folder = self._root.audio_dir(conversation_id)
        return [path for _, path in sorted(_numbered(folder))]


class Recording:
    """One utterance on its way to disk, by the journal: no method waits or raises.

    The file is valid from the first block on. What could not be written, because the disk was full or too
    slow, is silence in the file once it can be written again, so that the recording stays as long as what was played;
    the loss is one of the journal's failures. Used from one thread.
    """

    def __init__(self, path: Path, fmt: PcmFormat, journal: Journal, open_file: OpenAudioFile = GrowingWav) -> None:
        self.path = path
        self._fmt = fmt
        self._journal = journal
        self._open_file = open_file
        self._frames = 0
        self._closed = False
        self._refused_bytes = 0
        # Of the journal's thread:
        self._file: AudioFile | None = None
        self._missing_bytes = 0

    @property
    def frames(self) -> int:
        """Frames handed in so far."""
        return self._frames

    def append(self, pcm: bytes) -> None:
        """Add a block of whole frames."""
        self._frames += self._fmt.frames(len(pcm))
        job = partial(self._write, pcm, self._refused_bytes)
        if self._journal.submit(job, _WHAT_AUDIO, bulk_bytes=len(pcm)):
            self._refused_bytes = 0
        else:
            self._refused_bytes += len(pcm)

    def close(self) -> None:
        """No more will come. A recording that never got a frame leaves no file. May be called twice."""
        if not self._closed:
            self._closed = True
            self._journal.submit(partial(self._finish, self._refused_bytes), _WHAT_AUDIO)

    def _write(self, pcm: bytes, refused_bytes: int) -> None:
        self._missing_bytes += refused_bytes
        try:
            self._catch_up().append(pcm)
        except StorageError:
            self._missing_bytes += len(pcm)
            raise

    def _finish(self, refused_bytes: int) -> None:
        self._missing_bytes += refused_bytes
        try:
            if self._missing_bytes:
                self._catch_up()
        finally:
            if self._file is not None:
                self._file.close()
            _remove_if_empty(self.path)

    def _catch_up(self) -> AudioFile:
        """The file, made if it is not there yet, and as long as it should be."""
        if self._file is None:
            self._file = self._open_file(self.path, self._fmt)
        if self._missing_bytes:
            self._file.append_silence(self._fmt.frames(self._missing_bytes))
            self._missing_bytes = 0
        return self._file


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found = [(utterance_number(path.name), path) for path in list_folder(folder)]
    return [(number, path) for number, path in found if number is not None]


def _remove_if_empty(path: Path) -> None:
    if path.exists() and path.stat().st_size == 0:
        path.unlink()


def _write_text(path: Path, text: str) -> None:
    with storage_errors(f"{path.name} could not be written"):
        fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, text.encode("utf-8", "replace"))
        finally:
            os.close(fd)
