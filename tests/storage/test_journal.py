from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from voice_mcp.errors import StorageError
from voice_mcp.storage.journal import Journal

TIMEOUT_S = 10.0


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(bulk_limit_bytes=1000, most_jobs=50)
    yield journal
    assert journal.close(TIMEOUT_S)


class SlowDisk:
    """A job that is done only when told so."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self.started.set()
        assert self.go_on.wait(TIMEOUT_S)


@pytest.fixture
def slow_disk(journal: Journal) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    journal.submit(disk, "The disk")
    assert disk.started.wait(TIMEOUT_S)
    yield disk
    disk.go_on.set()


def failing(error: Exception) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_jobs_are_done_in_order_in_one_other_thread(journal: Journal) -> None:
    done: list[tuple[int, str]] = []

    def write(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(40):
        journal.submit(partial(write, number), "A number")
    assert journal.flush(TIMEOUT_S)
    assert done == [(number, "journal") for number in range(40)]


def test_no_thread_runs_before_the_first_job() -> None:
    before = threading.active_count()
    journal = Journal()
    assert threading.active_count() == before
    assert journal.flush(0.0)
    assert journal.close(0.0)


def test_nobody_who_hands_in_a_job_waits_for_the_disk(journal: Journal, slow_disk: SlowDisk) -> None:
    assert journal.submit(lambda: None, "A line")
    assert not journal.flush(0.01)
    slow_disk.go_on.set()
    assert journal.flush(TIMEOUT_S)


def test_a_failed_job_is_told_and_the_next_is_done(journal: Journal) -> None:
    done = threading.Event()
    journal.submit(failing(full_disk()), "The recording")
    journal.submit(done.set, "The event log")
    assert journal.flush(TIMEOUT_S)
    assert done.is_set()
    assert [failure.message for failure in journal.failures()] == [
        "The recording could not be written: No space left on device."
    ]


def test_the_reason_behind_a_storage_error_is_named(journal: Journal) -> None:
    error = StorageError("a.jsonl could not be written: No space left on device.")
    error.__cause__ = full_disk()
    journal.submit(failing(error), "The event log")
    journal.submit(failing(StorageError("Another process kept it.")), "The recording")
    journal.flush(TIMEOUT_S)
    assert [failure.reason for failure in journal.failures()] == ["No space left on device", "Another process kept it"]


def test_the_same_loss_is_told_and_logged_once(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        journal.submit(failing(full_disk()), "The recording")
    journal.flush(TIMEOUT_S)
    assert [failure.count for failure in journal.failures()] == [5]
    assert len(caplog.records) == 1


def test_only_failures_after_a_mark_are_told(journal: Journal) -> None:
    journal.submit(failing(full_disk()), "The recording")
    journal.submit(failing(full_disk()), "The event log")
    journal.flush(TIMEOUT_S)
    mark = journal.mark()
    assert journal.failures(since=mark) == []
    journal.submit(failing(full_disk()), "The recording")
    journal.flush(TIMEOUT_S)
    assert [failure.what for failure in journal.failures(since=mark)] == ["The recording"]
    assert [failure.what for failure in journal.failures()] == ["The event log", "The recording"]


def test_a_mistake_in_a_job_does_not_end_the_thread(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    journal.submit(failing(TypeError("keys must be text")), "The event log")
    journal.flush(TIMEOUT_S)
    assert journal.failures()[0].message == "The event log could not be written: keys must be text."
    assert any(record.exc_info for record in caplog.records)


def test_audio_is_dropped_rather_than_kept_without_end(journal: Journal, slow_disk: SlowDisk) -> None:
    taken = [journal.submit(lambda: None, "The recording", bulk_bytes=300) for _ in range(5)]
    assert taken == [True, True, True, False, False]
    assert journal.submit(lambda: None, "The event log")
    slow_disk.go_on.set()
    assert journal.flush(TIMEOUT_S)
    assert [failure.message for failure in journal.failures()] == [
        "The recording could not be written: the disk is too slow."
    ]
    assert journal.submit(lambda: None, "The recording", bulk_bytes=1000)


def test_small_jobs_too_are_dropped_when_far_too_many_wait(journal: Journal, slow_disk: SlowDisk) -> None:
    taken = [journal.submit(lambda: None, "The event log") for _ in range(60)]
    assert taken == [True] * 50 + [False] * 10
    assert journal.failures()[0].count == 10


def test_what_was_handed_in_before_the_end_is_still_done(journal: Journal, slow_disk: SlowDisk) -> None:
    done = threading.Event()
    journal.submit(done.set, "A line")
    assert not journal.close(0.01)
    slow_disk.go_on.set()
    assert journal.close(TIMEOUT_S)
    assert done.is_set()


def test_what_comes_after_the_end_is_refused_and_told(journal: Journal) -> None:
    journal.submit(lambda: None, "A line")
    assert journal.close(TIMEOUT_S)
    assert not journal.submit(lambda: None, "The event log")
    assert journal.failures()[0].message == "The event log could not be written: it came after the end."
