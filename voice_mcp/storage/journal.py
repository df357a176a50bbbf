"""The one thread that writes to disk, so that nobody who speaks ever waits for one."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from voice_mcp.errors import StorageError

logger = logging.getLogger(__name__)

Job = Callable[[], None]
"""Something to write. Says what went wrong by StorageError or OSError."""


@dataclass(frozen=True, slots=True)
class JournalFailure:
    """Something that was not kept."""

    what: str
    """What it was, as the beginning of a sentence: "The recording"."""
    reason: str
    """Why, the last time: "No space left on device"."""
    count: int
    """How often since the start."""
    number: int
    """The last time's place among all failures, from 1; ``Journal.mark`` counts the same."""

    @property
    def message(self) -> str:
        """One sentence for the user."""
        return f"{self.what} could not be written: {self.reason}."


@dataclass(frozen=True, slots=True)
class _Entry:
    job: Job
    what: str
    bulk_bytes: int


class Journal:
    """Does jobs one after another, in the order they were handed in, in one daemon thread.

    A job that fails costs itself alone: the failure is kept until somebody asks, told apart by ``what``, and logged
    when its reason is new. Memory is bounded: where the disk is slower than the voice, audio beyond
    ``bulk_limit_bytes`` and any job beyond ``most_jobs`` is refused and counted as a failure. Every method may be
    called from any thread; only ``flush`` and ``close`` wait. The thread starts with the first job.

    Args:
        bulk_limit_bytes: Audio that may wait; the default is eleven minutes of speech at 24 kHz.
        most_jobs: Jobs that may wait.
    """

    def __init__(self, *, bulk_limit_bytes: int = 32 * 1024 * 1024, most_jobs: int = 20_000) -> None:
        self._bulk_limit_bytes = bulk_limit_bytes
        self._most_jobs = most_jobs
        self._changed = threading.Condition()
        self._waiting: deque[_Entry] = deque()
        self._bulk_bytes = 0
        self._accepted = 0
        self._done = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        self._failures: dict[str, JournalFailure] = {}
        self._failed = 0

    def submit(self, job: Job, what: str, bulk_bytes: int = 0) -> bool:
        """Hand in a job.

        Args:
            job: What to do.
            what: What is lost if it fails, as the beginning of a sentence: "The recording". One of a few constants.
            bulk_bytes: Bytes of audio the job holds on to; 0 for what is small and never dropped for its size.

        Returns:
            False when it was refused, which is then one of the failures.
        """
        with self._changed:
            refusal = self._refusal(bulk_bytes)
            if refusal is None:
                self._enqueue(_Entry(job, what, bulk_bytes))
                return True
        self._fail(what, refusal)
        return False

    def mark(self) -> int:
        """A point in time to ask for later failures with."""
        with self._changed:
            return self._failed

    def failures(self, since: int = 0) -> list[JournalFailure]:
        """What failed after ``since`` (a ``mark``), each ``what`` once, in the order of their last failures."""
        with self._changed:
            late = [failure for failure in self._failures.values() if failure.number > since]
        return sorted(late, key=lambda failure: failure.number)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was handed in before is done, at most ``timeout_s`` seconds; whether it is."""
        with self._changed:
            target = self._accepted
            return self._changed.wait_for(lambda: self._done >= target, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Refuse further jobs, finish the others and end the thread; False when ``timeout_s`` seconds were too few."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _refusal(self, bulk_bytes: int) -> str | None:
        if self._closed:
            return "it came after the end"
        too_much = bulk_bytes and self._bulk_bytes + bulk_bytes > self._bulk_limit_bytes
        if too_much or len(self._waiting) >= self._most_jobs:
            return "the disk is too slow"
        return None

    def _enqueue(self, entry: _Entry) -> None:
        self._waiting.append(entry)
        self._bulk_bytes += entry.bulk_bytes
        self._accepted += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            try:
                entry.job()
            except (OSError, StorageError) as exc:
                self._fail(entry.what, _reason(exc), exc)
            except Exception as exc:
                # A mistake in one job must not cost the records that come after it.
                logger.exception("A job of the journal failed.")
                self._fail(entry.what, _reason(exc))
            finally:
                self._finish(entry)

    def _next(self) -> _Entry | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def _finish(self, entry: _Entry) -> None:
        with self._changed:
            self._bulk_bytes -= entry.bulk_bytes
            self._done += 1
            self._changed.notify_all()

    def _fail(self, what: str, reason: str, exc: Exception | None = None) -> None:
        with self._changed:
            before = self._failures.get(what)
            self._failed += 1
            count = before.count + 1 if before else 1
            failure = JournalFailure(what, reason, count, self._failed)
            self._failures[what] = failure
        if before is None or before.reason != reason:
            logger.warning("%s (%s)", failure.message, exc or "refused")


def _reason(exc: Exception) -> str:
    """Why, in the operating system's words where it was the operating system that refused."""
    origin = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
    if isinstance(origin, OSError) and origin.strerror:
        return origin.strerror
    return str(exc).rstrip(".") or type(exc).__name__
