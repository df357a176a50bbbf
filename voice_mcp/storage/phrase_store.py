"""Phrases that are said often, as audio in files: one file a phrase, none of them with a word of text in it.

A file is named by a keyed hash of what was asked for, and its content is sealed with the same key, so that nobody
finds out what was said by trying names, and a file that was damaged, cut or swapped is never played. There is no index
that several processes could disagree about: the folder itself is the index, and the time of a file's last change is
when it was last said.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voice_mcp.storage.files import list_folder, open_private, refuse_link_out, storage_errors, write_whole
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.types import PcmFormat, WordMark

logger = logging.getLogger(__name__)

MOST_BYTES = 2_000_000
"""The largest file: twelve words last a few seconds, even slowly and in stereo."""
KEY_NAME = ".key"

_KEY_BYTES = _SEAL_BYTES = 32
_FORMAT = b"voice-mcp 1"
"""Part of every name, so that files of another shape are simply not found."""
_NAME = re.compile(r"[0-9a-f]{40}\.phrase|(?:[0-9a-f]{40}\.phrase|\.key)\.[0-9a-f]{8}\.part")
_ABANDONED_S = 60.0
"""Nobody writes a file for that long: whoever began it is gone."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a ``SpeechStream`` said, and what it said of it."""

    engine: str
    model: str
    voice: str
    encoding: str
    media_type: str
    pcm_format: PcmFormat | None
    word_marks: tuple[WordMark, ...]
    audio: bytes


@dataclass(frozen=True, slots=True)
class PhraseFile:
    """A file as the folder lists it."""

    path: Path
    size_bytes: int
    changed_s: float

    @property
    def is_part(self) -> bool:
        """Whether it is only the beginning of one: somebody may be writing it."""
        return self.path.suffix == ".part"

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody is going to finish it."""
        return self.is_part and self.changed_s < time.time() - _ABANDONED_S


class PhraseStore:
    """The files ``cache/phrases/<hash>.phrase``, together no larger than a limit.

    Holds nothing but where they are: any number of threads and processes may use the same folder at once. Every method
    touches the disk, so none is for the event loop's thread.

    Args:
        root: The data root.
        limit_bytes: What all phrases together may take; the least recently said give way.
    """

    def __init__(self, root: DataRoot, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._folder = phrase_folder(root)

    def get(self, asked: bytes) -> Phrase | None:
        """What was kept for ``asked``, which thereby was said just now; None when there is nothing, or it is damaged.

        Args:
            asked: Everything the audio depends on, always written in the same way.

        Raises:
            StorageError: The folder, or the file, must not be read.
        """
        self._refuse_links_out()
        with storage_errors("A phrase that is said often could not be read"):
            secret = self._secret()
            if secret is None:
                return None
            path = self._path(asked, secret)
            data = _read(path)
            if data is None:
                return None
            phrase = _opened(data, path.name, secret)
            if phrase is None:
                logger.warning("%s was damaged and is removed.", path.name)
                path.unlink(missing_ok=True)
                return None
            with suppress(FileNotFoundError):  # another process needed the room meanwhile; what was read is good
                os.utime(path)
        return phrase

    def put(self, asked: bytes, phrase: Phrase) -> None:
        """Keep ``phrase`` for ``asked``; one that is kept already, or is too large, changes nothing.

        Raises:
            StorageError: It could not be written; nothing of it is left.
        """
        self._root.make(self._folder)
        with storage_errors("A phrase that is said often could not be written"):
            secret = self._secret() or self._new_secret()
            path = self._path(asked, secret)
            data = _sealed(phrase, path.name, secret)
            if len(data) > min(self._limit_bytes, MOST_BYTES) or path.exists():
                return
            self._make_room(self._limit_bytes - len(data))
            write_whole(path, data)

    def trim(self) -> None:
        """Remove what the limit leaves no room for (0: all of it), and what writers left that are gone.

        Raises:
            StorageError: Something could not be removed.
        """
        self._refuse_links_out()
        with storage_errors("The phrases that are said often could not be tidied"):
            self._make_room(self._limit_bytes)

    def _make_room(self, room_bytes: int) -> None:
        from cachetools import LRUCache  # 6 ms that a start without any phrase does not pay

        files = phrase_files(self._root)
        # Filled in the order in which they were said last, the shelf lets the least recent fall off.
        shelf: LRUCache[Path, int] = LRUCache(room_bytes, getsizeof=lambda size_bytes: size_bytes)
        for file in sorted(files, key=lambda file: file.changed_s):
            if file.size_bytes <= room_bytes and not file.is_part:
                shelf[file.path] = file.size_bytes
        for file in files:
            has_no_place = file.path not in shelf and not file.is_part
            if has_no_place or file.is_abandoned:
                file.path.unlink(missing_ok=True)

    def _path(self, asked: bytes, secret: bytes) -> Path:
        return self._folder / f"{hashlib.blake2b(asked, key=secret, person=_FORMAT, digest_size=20).hexdigest()}.phrase"

    def _secret(self) -> bytes | None:
        """The key of this folder; None while there is none, or none that is whole."""
        secret = _read(self._folder / KEY_NAME)
        return secret if secret is not None and len(secret) == _KEY_BYTES else None

    def _new_secret(self) -> bytes:
        with locked(self._folder):  # two processes must not hide their files from each other
            secret = self._secret()
            if secret is None:
                secret = secrets.token_bytes(_KEY_BYTES)
                write_whole(self._folder / KEY_NAME, secret)
        return secret

    def _refuse_links_out(self) -> None:
        for folder in (self._folder.parent, self._folder):
            refuse_link_out(self._root.path, folder)


def phrase_folder(root: DataRoot) -> Path:
    """Where phrases are kept."""
    return root.path / "cache" / "phrases"


def phrase_files(root: DataRoot) -> list[PhraseFile]:
    """The phrases there are, and beginnings of some; no link, and nothing the product did not name."""
    named = [path for path in list_folder(phrase_folder(root)) if _NAME.fullmatch(path.name)]
    return [file for path in named if (file := _file(path)) is not None]


def _file(path: Path) -> PhraseFile | None:
    try:
        status = path.lstat()
    except FileNotFoundError:  # another process removed it
        return None
    return PhraseFile(path, status.st_size, status.st_mtime) if stat.S_ISREG(status.st_mode) else None


def _read(path: Path) -> bytes | None:
    try:
        fd = open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        return file.read(MOST_BYTES + 1)


# --- a file: a line of JSON, the audio, and a seal over both and the file's name -----------------------------------


def _sealed(phrase: Phrase, name: str, secret: bytes) -> bytes:
    header = asdict(phrase)
    audio = header.pop("audio")
    body: bytes = json.dumps(header, separators=(",", ":")).encode() + b"\n" + audio
    return body + _seal(body, name, secret)


def _opened(data: bytes, name: str, secret: bytes) -> Phrase | None:
    """The phrase in a file; None when it is not, to the last bit, what was written under this name."""
    body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(body, name, secret)):
        return None
    line, _, audio = body.partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    fmt, marks = header.pop("pcm_format"), header.pop("word_marks")
    return Phrase(
        **header,
        pcm_format=PcmFormat(**fmt) if fmt is not None else None,
        word_marks=tuple(WordMark(**mark) for mark in marks),
        audio=audio,
    )


def _seal(body: bytes, name: str, secret: bytes) -> bytes:
    seal = hashlib.blake2b(name.encode(), key=secret, person=_FORMAT, digest_size=_SEAL_BYTES)
    seal.update(body)
    return seal.digest()
