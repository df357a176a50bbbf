"""Weights on the disk: the folder ``models/`` below the data root. What has its name there is whole and was checked."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from voice_mcp.errors import DownloadFailed, EngineMissing, InvalidInput, StorageError
from voice_mcp.storage.files import make_folder, open_private, refuse_link_out, storage_errors, write_all
from voice_mcp.storage.locking import locked
from voice_mcp.storage.model_catalogue import CATALOGUE
from voice_mcp.storage.model_entry import Model, WeightFile

_READ_BYTES = 1 << 20
_LOCK_WAIT_S = 1.0
"""Who installs takes minutes; nobody is to wait for that without a word."""


class Models:
    """What is installed, and how something gets there.

    Args:
        base_dir: The data root (VOICEMODE_BASE_DIR).
        catalogue: What can be installed.
    """

    def __init__(self, base_dir: Path, catalogue: Sequence[Model] = CATALOGUE) -> None:
        self._root = base_dir.expanduser().absolute()
        self.catalogue = tuple(catalogue)
        self.folder = self._root / "models"

    def known(self, name: str) -> Model:
        """The entry of that name.

        Raises:
            InvalidInput: There is none; the hint names the nearest.
        """
        entries = {model.name: model for model in self.catalogue}
        if name in entries:
            return entries[name]
        near = difflib.get_close_matches(name, entries, n=1)
        advice = f"Did you mean {near[0]}?" if near else "`voice-mcp models list` names those there are."
        raise InvalidInput(f"There is no model {name!r}.", hint=advice)

    def path(self, name: str) -> Path | None:
        """Where the weights of that name are, or the first file of them; None when they are not installed.

        Raises:
            InvalidInput: No model has that name.
        """
        paths = self.paths(name)
        return paths[0] if paths is not None else None

    def paths(self, name: str) -> tuple[Path, ...] | None:
        """Where all files of that name are; None when one of them is not installed.

        Raises:
            InvalidInput: No model has that name.
        """
        model = self.known(name)
        if any(not self.holds(file) for file in model.files):
            return None
        return tuple(self.folder / file.file for file in model.files)

    def holds(self, file: WeightFile) -> bool:
        """Whether a file is there. It was checked when it came; here its length will do."""
        try:
            return (self.folder / file.file).stat().st_size == file.size_bytes
        except OSError:
            return False

    def is_intact(self, file: WeightFile) -> bool:
        """Whether a file is there and still what it was when it came. Reads all of it: a second for 500 MB.

        Raises:
            StorageError: It is there and cannot be read.
        """
        if not self.holds(file):
            return False
        with storage_errors(f"{file.file} could not be read"), (self.folder / file.file).open("rb") as held:
            return hashlib.file_digest(held, "sha256").hexdigest() == file.sha256

    def weights(self, name_or_path: str) -> Path:
        """The weights that a setting names: a model of the catalogue, or any file.

        Raises:
            EngineMissing: They are not there; the hint is the command that brings them.
        """
        path = Path(name_or_path).expanduser()
        return path if path.is_file() else self.installed(name_or_path)[0]

    def installed(self, name: str) -> tuple[Path, ...]:
        """All files of a model of the catalogue that a setting names.

        Raises:
            EngineMissing: They are not there; the hint is the command that brings them.
        """
        try:
            installed = self.paths(name)
        except InvalidInput as exc:
            raise EngineMissing(f"{name} is neither a model nor a file that is there.", hint=exc.hint) from exc
        if installed is None:
            hint = f"Run `voice-mcp models install {name}`."
            raise EngineMissing(f"The model {name} is not installed.", hint=hint)
        return installed

    def remove(self, name: str) -> bool:
        """Remove the weights of that name, and parts of them; returns whether there was anything.

        A file that another model needs stays as long as that is installed.

        Raises:
            InvalidInput: No model has that name.
            StorageError: They cannot be removed, or somebody installs a model.
        """
        model = self.known(name)
        refuse_link_out(self._root, self.folder)
        if not self.folder.is_dir():
            return False
        with self._locked():
            return self._unlink(model)

    def _unlink(self, model: Model) -> bool:
        found = False
        needed = {file for other in self._others(model) for file in other.files}
        for file in model.files:
            paths = [self._part(file)] if file in needed else [self.folder / file.file, self._part(file)]
            with storage_errors(f"{file.file} could not be removed"):
                for path in paths:
                    with suppress(FileNotFoundError):
                        path.unlink()
                        found = True
        return found

    def _others(self, model: Model) -> list[Model]:
        """The other models that are installed."""
        return [other for other in self.catalogue if other != model and self.paths(other.name) is not None]

    @contextmanager
    def receive(self, file: WeightFile) -> Iterator[Reception]:
        """Take in a file; what has arrived when this is left too early is there for the next time.

        Raises:
            StorageError: There is no room, the folder cannot be written, or somebody else is installing.
        """
        make_folder(self._root, self.folder)
        part = self._part(file)
        with self._locked():
            with storage_errors(f"{part.name} could not be written"):
                fd = open_private(part, os.O_RDWR | os.O_CREAT)
            try:
                reception = Reception(file, part, fd)
                self._check_room(file.size_bytes - reception.received_bytes)
                yield reception
            finally:
                os.close(fd)
                _remove_if_empty(part)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else installs or removes meanwhile.

        Raises:
            StorageError: Somebody does.
        """
        with locked(
            self.folder, _LOCK_WAIT_S, hint="A model is being installed or removed: try again when that is done."
        ):
            yield

    def _part(self, file: WeightFile) -> Path:
        return self.folder / f"{file.file}.part"

    def _check_room(self, needed_bytes: int) -> None:
        with storage_errors(f"The room in {self.folder} could not be seen"):
            free_bytes = shutil.disk_usage(self.folder).free
        if needed_bytes > free_bytes:
            raise StorageError(
                f"There is no room in {self.folder}: {needed_bytes / 1e6:.0f} MB are needed, "
                f"{free_bytes / 1e6:.0f} MB are free.",
                hint="Make room there, or set VOICEMODE_BASE_DIR.",
            )


def _remove_if_empty(part: Path) -> None:
    """Nothing came, or nothing that is of use: nothing stays. What cannot be removed costs no room."""
    with suppress(OSError):
        if part.stat().st_size == 0:
            part.unlink()


class Reception:
    """A file on its way in. It gets its name when it is whole and its checksum is right."""

    def __init__(self, file: WeightFile, part: Path, fd: int) -> None:
        self._file = file
        self._part = part
        self._fd = fd
        self._hash = hashlib.sha256()
        self.received_bytes = 0
        """What is there, of this time or of the last."""
        with storage_errors(f"{part.name} could not be read"):
            while block := os.read(fd, _READ_BYTES):
                self._count(block)

    def begin_anew(self) -> None:
        """Forget what is there."""
        with storage_errors(f"{self._part.name} could not be written"):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.received_bytes = 0

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            StorageError: They could not be written.
            DownloadFailed: There are more of them than the file has.
        """
        if self.received_bytes + len(block) > self._file.size_bytes:
            self._discard()
            raise DownloadFailed(f"What came is longer than {self._file.file}.", hint=WRONG_FILE)
        with storage_errors(f"{self._part.name} could not be written"):
            write_all(self._fd, block)
        self._count(block)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.received_bytes == self._file.size_bytes

    def finish(self) -> Path:
        """Check what came, and give it its name.

        Raises:
            DownloadFailed: It is not the file it should be; nothing of it is kept, unless it only is too short.
            StorageError: It could not be completed.
        """
        if not self.is_whole:
            raise DownloadFailed(
                f"Only {self.received_bytes:,} of the {self._file.size_bytes:,} bytes of {self._file.file} came."
            )
        digest = self._hash.hexdigest()
        if digest != self._file.sha256:
            self._discard()
            raise DownloadFailed(f"What came is not {self._file.file}: its SHA-256 is {digest}.", hint=WRONG_FILE)
        path = self._part.with_name(self._file.file)
        with storage_errors(f"{path.name} could not be completed"):
            os.fsync(self._fd)
            os.replace(self._part, path)
        return path

    def _count(self, block: bytes) -> None:
        self._hash.update(block)
        self.received_bytes += len(block)

    def _discard(self) -> None:
        """A file that is open cannot be removed everywhere; an empty one is once it is closed."""
        self.begin_anew()


WRONG_FILE = (
    "Try again; if it happens again, the file at that address is another one: use `--from` with a copy you trust."
)
