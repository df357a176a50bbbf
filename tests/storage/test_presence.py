"""A file that is locked as long as its process lives."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.storage.children import kill_after_first_line, start
from voice_mcp.errors import StorageError
from voice_mcp.storage.presence import NEWBORN, Presence, is_locked, is_present, read_about

HOLD = """
import sys
from pathlib import Path
from voice_mcp.storage.presence import Presence
presence = Presence.make(Path(sys.argv[1]), {"who": "a child"})
print("there", flush=True)
sys.stdin.readline()
presence.release() if sys.argv[2:] == ["release"] else presence.remove()
"""
MAKE = """
import os, sys
from pathlib import Path
from voice_mcp.storage.presence import Presence, load_locks

load_locks()
folder = Path(sys.argv[1])
sys.addaudithook(lambda event, args: event == "fcntl.flock" and print(*os.listdir(folder), flush=True))
Presence.make(folder / "one.turn", {})
print(*os.listdir(folder), flush=True)
"""


def test_two_cannot_have_one_file(tmp_path: Path) -> None:
    first = Presence.take(tmp_path / "one")
    assert first is not None
    assert Presence.take(tmp_path / "one") is None
    first.release()
    again = Presence.take(tmp_path / "one")
    assert again is not None
    again.release()


def test_another_process_sees_it_and_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "one"
    with start(HOLD, [str(path)]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        assert is_present(path)
        assert is_locked(path)
        assert Presence.take(path) is None
        assert read_about(path) == {"who": "a child"}
        child.communicate("\n")
    assert child.returncode == 0
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames nothing that is open")
def test_nobody_finds_a_file_under_its_name_before_it_is_locked(tmp_path: Path) -> None:
    with start(MAKE, [str(tmp_path)]) as child:
        out, _ = child.communicate()
    as_it_is_locked, after = out.splitlines()
    assert as_it_is_locked.endswith(NEWBORN)
    assert after == "one.turn"


def test_a_process_that_is_killed_is_not_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "one"
    kill_after_first_line(HOLD, str(path))
    assert path.exists()
    assert not is_locked(path)
    assert path.exists()
    assert not is_present(path)
    assert not path.exists()


def test_whoever_comes_after_one_that_died_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "one"
    kill_after_first_line(HOLD, str(path))
    after = Presence.take(path)
    assert after is not None
    assert after.was_abandoned
    after.write({"who": "the next"})
    after.release()
    later = Presence.take(path)
    assert later is not None
    assert not later.was_abandoned
    later.remove()


def test_what_is_written_over_something_longer_is_read_alone(tmp_path: Path) -> None:
    presence = Presence.make(tmp_path / "one", {"who": "somebody with a very long name"})
    presence.write({"who": "ünï"})
    assert read_about(tmp_path / "one") == {"who": "ünï"}
    presence.remove()


@pytest.mark.parametrize("content", [b"", b"1", b"1nonsense\n", b"1[1]\n", b"1{\n", b"\xff\xfe\n"])
def test_nonsense_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one").write_bytes(content)
    assert read_about(tmp_path / "one") == {}
    assert read_about(tmp_path / "nowhere") == {}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    presence = Presence.make(tmp_path / "one", {})
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600
    presence.remove()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Presence.take(tmp_path / "one")
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none below folders")
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one")
    with pytest.raises(StorageError):
        Presence.take(tmp_path / "one")
