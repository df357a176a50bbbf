from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.storage.children import run, run_together
from voice_mcp.errors import StorageError
from voice_mcp.storage.jsonl import append_jsonl, follow_jsonl, read_jsonl
from voice_mcp.storage.locking import locked

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions and limits")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log_2026-01-31.jsonl"


def test_each_object_is_one_line_and_comes_back_as_it_was(path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"text": "Grüße, 世界 \n\u2028 😀"},
        {"number": 1, "list": [1.5, None, True], "inner": {"a": "b"}},
        {},
    ]
    for record in records:
        append_jsonl(path, record)
    assert path.read_bytes().count(b"\n") == 3
    assert "世界" in path.read_text(encoding="utf-8")
    assert list(read_jsonl(path)) == records


def test_half_a_surrogate_pair_becomes_a_question_mark(path: Path) -> None:
    append_jsonl(path, {"text": "a\ud83db", "\udc00": 1})
    assert list(read_jsonl(path)) == [{"text": "a?b", "?": 1}]


def test_values_json_does_not_know_are_written_as_text(path: Path) -> None:
    append_jsonl(path, {"day": date(2026, 1, 31), "path": Path("a")})
    assert list(read_jsonl(path)) == [{"day": "2026-01-31", "path": "a"}]


def test_a_number_json_cannot_hold_is_refused_and_nothing_written(path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        append_jsonl(path, {"ratio": float("nan")})
    assert not path.exists()


@posix_only
def test_only_the_owner_may_read_a_log_and_its_lock(path: Path) -> None:
    append_jsonl(path, {})
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_after_a_line_that_was_cut_short_the_next_begins_on_a_line_of_its_own(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_jsonl(path, {"number": 1})
    with path.open("ab") as file:
        file.write(b'{"number": 2, "te')
    append_jsonl(path, {"number": 3})
    assert list(read_jsonl(path)) == [{"number": 1}, {"number": 3}]
    assert "1 damaged line(s) skipped" in caplog.text


def test_damaged_lines_are_skipped_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b'{"a":1}\n[1]\n\xff\xfe\n\n' + b"[" * 100_000 + b'\n{"a":2}\r\n{"a":3}')
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert "4 damaged line(s) skipped" in caplog.text


def test_a_missing_file_has_no_lines(path: Path) -> None:
    assert list(read_jsonl(path)) == []


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not a regular file"):
        list(read_jsonl(tmp_path))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(StorageError, match=r"link\.jsonl could not be read"):
        list(read_jsonl(tmp_path / "link.jsonl"))


def test_a_line_is_not_written_while_another_holds_the_lock(path: Path) -> None:
    with locked(path.parent), pytest.raises(StorageError, match=r"kept .* locked for 0\.01 s"):
        run_in_thread(lambda: append_jsonl(path, {}, lock_wait_s=0.01))
    append_jsonl(path, {}, lock_wait_s=0.01)
    assert list(read_jsonl(path)) == [{}]


def run_in_thread(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(timeout=10.0)


WRITE_LINES = """
import sys
from pathlib import Path
from voice_mcp.storage.jsonl import append_jsonl
path, writer = Path(sys.argv[1]), int(sys.argv[2])
for number in range(200):
    size = 100_000 if number % 20 == writer else (number * 37) % 3000
    append_jsonl(path, {"writer": writer, "number": number, "text": "ab"[writer % 2] * size})
"""


def test_lines_of_several_processes_are_all_there_and_whole(path: Path) -> None:
    run_together(WRITE_LINES, [[str(path), str(writer)] for writer in range(4)])
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    for writer in range(4):
        own = [record for record in records if record["writer"] == writer]
        assert [record["number"] for record in own] == list(range(200))
        assert max(len(record["text"]) for record in own) == 100_000
        assert all(set(record["text"]) <= {"ab"[writer % 2]} for record in own)
    assert len(records) == 800


WRITE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from voice_mcp.errors import StorageError
from voice_mcp.storage.jsonl import append_jsonl
path = Path(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
append_jsonl(path, {"number": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
try:
    append_jsonl(path, {"number": 2, "text": "x" * 1000})
except StorageError as exc:
    print(exc)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
append_jsonl(path, {"number": 3})
"""


@posix_only
def test_a_line_that_does_not_fit_on_the_disk_is_taken_back_and_reported(path: Path) -> None:
    assert run(WRITE_ON_A_FULL_DISK, str(path)) == f"{path.name} could not be written: File too large.\n"
    assert path.read_bytes() == b'{"number":1}\n{"number":3}\n'


class Steps:
    """Stands where a pause would be: does one thing at each look, and ends after the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def __call__(self) -> bool:
        if not self._steps:
            return False
        self._steps.pop(0)()
        return True


def test_following_gives_what_is_added_and_nothing_that_was_there(path: Path) -> None:
    append_jsonl(path, {"number": 1})
    wait = Steps(lambda: append_jsonl(path, {"number": 2}), lambda: None, lambda: append_jsonl(path, {"number": 3}))
    assert [record["number"] for record in follow_jsonl(lambda: [path], wait)] == [2, 3]


def test_following_can_begin_with_what_is_there(path: Path) -> None:
    append_jsonl(path, {"number": 1})
    wait = Steps(lambda: append_jsonl(path, {"number": 2}))
    assert [record["number"] for record in follow_jsonl(lambda: [path], wait, from_start=True)] == [1, 2]


def test_following_goes_on_in_the_file_of_the_next_day(path: Path) -> None:
    tomorrow = path.with_name("log_2026-02-01.jsonl")
    wait = Steps(lambda: append_jsonl(tomorrow, {"number": 2}))
    append_jsonl(path, {"number": 1})
    found = follow_jsonl(lambda: sorted(path.parent.glob("*.jsonl")), wait)
    assert [record["number"] for record in found] == [2]


def test_following_waits_for_the_rest_of_a_line_and_skips_damaged_ones(path: Path) -> None:
    def write(data: bytes) -> Callable[[], object]:
        def step() -> None:
            with path.open("ab") as file:
                file.write(data)

        return step

    wait = Steps(write(b'{"num'), write(b'ber":1}\n{"dam\n'), write(b'{"number":2}\n'))
    assert [record["number"] for record in follow_jsonl(lambda: [path], wait)] == [1, 2]


def test_following_begins_anew_when_the_file_was_emptied(path: Path) -> None:
    append_jsonl(path, {"number": 1, "text": "long enough"})
    wait = Steps(lambda: os.truncate(path, 0), lambda: append_jsonl(path, {"number": 2}))
    assert [record["number"] for record in follow_jsonl(lambda: [path], wait)] == [2]
