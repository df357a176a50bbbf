"""Bringing weights to their folder: from a server or a file, with patience, and told as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voice_mcp.download import fetch
from voice_mcp.errors import DownloadFailed
from voice_mcp.storage.model_entry import WeightFile
from voice_mcp.storage.models import Models, Reception

TRIES = 5
"""How often a download that breaks off is taken up again, if each time something came."""
RIGHT_FILE = "Give the file itself; `voice-mcp models list --json` has its address and its SHA-256."
_BLOCK_BYTES = 1 << 20

Watcher = Callable[[int], None]
"""Told how many bytes there are by now."""


def bring(models: Models, file: WeightFile, source: str, watch: Watcher) -> Path:
    """Install a file of a model.

    Args:
        models: Where to.
        file: What.
        source: An address, or the path of a file.
        watch: Told how far it is.

    Raises:
        DownloadFailed: It cannot be fetched, or is not the right file.
        StorageError: It cannot be written.
    """
    with models.receive(file) as reception:
        watch(reception.received_bytes)
        if is_address(source):
            _download(reception, source, watch)
        else:
            _copy(reception, file, Path(source).expanduser(), watch)
        return reception.finish()


def is_address(source: str) -> bool:
    """Whether it is an address, and no path."""
    return source.startswith(("http://", "https://"))


def _download(reception: Reception, address: str, watch: Watcher) -> None:
    for tries_left in reversed(range(TRIES)):
        if reception.is_whole:
            return
        before_bytes = reception.received_bytes
        try:
            with fetch(address, before_bytes) as arrival:
                if arrival.from_byte == 0 and before_bytes:
                    reception.begin_anew()
                _take(reception, arrival.blocks, watch)
        except DownloadFailed as exc:
            if exc.begin_anew and tries_left:
                reception.begin_anew()
            elif not tries_left or reception.received_bytes <= before_bytes:
                raise


def _copy(reception: Reception, file: WeightFile, path: Path, watch: Watcher) -> None:
    """Take a file, if it is the right one; what a download left is kept as long as nothing speaks for the file."""
    with _opened(path) as blocks:
        if path.is_file() and path.stat().st_size != file.size_bytes:
            raise _another_file(path, file, path.stat().st_size)
        reception.begin_anew()
        _take(reception, blocks, watch)
    if not reception.is_whole:
        length_bytes = reception.received_bytes
        reception.begin_anew()
        raise _another_file(path, file, length_bytes)


def _another_file(path: Path, file: WeightFile, size_bytes: int) -> DownloadFailed:
    return DownloadFailed(
        f"{path} is not {file.file}: it has {size_bytes:,} bytes, not {file.size_bytes:,}.", hint=RIGHT_FILE
    )


def _take(reception: Reception, blocks: Iterator[bytes], watch: Watcher) -> None:
    for block in blocks:
        reception.write(block)
        watch(reception.received_bytes)


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        with path.open("rb") as file:
            yield iter(lambda: file.read(_BLOCK_BYTES), b"")
    except OSError as exc:
        hint = "Give the path of the file itself, or an address that begins with http:// or https://."
        raise DownloadFailed(f"{path} cannot be read: {exc.strerror or exc}.", hint=hint) from exc
