"""Bringing weights to their folder: from a server or a file, with patience, and told as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voice_mcp.download import fetch
from voice_mcp.errors import DownloadFailed
from voice_mcp.storage.model_catalogue import Model
from voice_mcp.storage.models import Models, Reception

TRIES = 5
"""How often a download that breaks off is taken up again, if each time something came."""
_BLOCK_BYTES = 1 << 20

Watcher = Callable[[int], None]
"""Told how many bytes there are by now."""


def bring(models: Models, model: Model, source: str, watch: Watcher) -> Path:
    """Install a model.

    Args:
        models: Where to.
        model: What.
        source: An address, or the path of a file.
        watch: Told how far it is.

    Raises:
        DownloadFailed: It cannot be fetched, or is not the right file.
        StorageError: It cannot be written.
    """
    with models.receive(model) as reception:
        watch(reception.received_bytes)
        if is_address(source):
            _download(reception, source, watch)
        else:
            reception.begin_anew()
            with _opened(Path(source).expanduser()) as blocks:
                _take(reception, blocks, watch)
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
