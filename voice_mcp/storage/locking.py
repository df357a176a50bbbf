"""One writer at a time, across processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voice_mcp.errors import StorageError

LOCK_NAME = ".lock"
"""The lock file of a folder. It stays: removing a lock file that others wait for would let two of them in."""

STOPPED = "Look for a voice-mcp process that is stopped, and end it."
"""What is to be done where nobody keeps a lock for long."""

_POLL_S = 0.002
"""Between two attempts. A holder needs some 100 us, so a waiter that slept much longer would often lose its turn."""


@contextmanager
def locked(folder: Path, wait_s: float = 10.0, *, hint: str = STOPPED) -> Iterator[None]:
    """Hold the lock of ``folder``, which must be there. The system frees it when its holder dies.

    Args:
        folder: What is locked.
        wait_s: How long whoever has it is waited for.
        hint: What is to be done when that takes longer.

    Raises:
        StorageError: Another process kept it for ``wait_s`` seconds, or the lock file cannot be opened.
    """
    # Loaded on first use: 70 ms that a start without any record does not pay.
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME, mode=0o600)
    try:
        lock.acquire(timeout=wait_s, poll_interval=_POLL_S)
    except Timeout as exc:
        raise StorageError(
            f"Another process has kept {folder} locked for {wait_s:g} s.",
            hint=hint,
        ) from exc
    except OSError as exc:
        raise StorageError(f"{folder} could not be locked: {exc.strerror or exc}.") from exc
    try:
        yield
    finally:
        lock.release()
