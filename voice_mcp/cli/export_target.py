"""Where an export goes: a new file that is there only when it is whole, or standard output."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from voice_mcp.errors import InvalidInput, StorageError
from voice_mcp.storage.files import storage_errors

STANDARD_OUTPUT = Path("-")


def check_target(path: Path, *, force: bool, is_text: bool = False) -> None:
    """See that something may be written there, before any work is done.

    Args:
        path: Where, or ``STANDARD_OUTPUT``.
        force: Whether a file that is there may be replaced.
        is_text: Whether it is something that a terminal can show.

    Raises:
        InvalidInput: It may not.
    """
    if path == STANDARD_OUTPUT:
        if sys.stdout.isatty() and not is_text:
            raise InvalidInput("A terminal cannot play audio.", hint="Redirect it to a file or a program.")
        return
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"There is no folder {path.absolute().parent}.", hint="Make it, or name another one.")
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is not a file.", hint="Name a file, or - for standard output.")
    if path.exists() and not force:
        raise InvalidInput(f"{path} is there already.", hint="Name another file, or replace it with --force.")


def put_out(data: bytes) -> None:
    """Write to standard output, at once.

    Raises:
        BrokenPipeError: Whoever reads it has had enough.
        StorageError: It cannot be written.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise StorageError(f"Standard output could not be written: {exc.strerror or exc}.") from exc


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place at ``path`` when the block ends well; otherwise nothing has changed.

    Raises:
        StorageError: It cannot be written.
    """
    target = path.resolve()  # of a link the file it leads to is replaced, not the link
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with storage_errors(f"{path} could not be written"):
        try:
            with unfinished.open("xb") as file:
                yield file
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
