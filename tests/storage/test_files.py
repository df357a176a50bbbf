from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.storage.children import run
from voice_mcp.errors import StorageError
from voice_mcp.storage.files import list_folder, make_folder, open_private

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions and links")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


MAKE_UNDER_AN_ODD_UMASK = """
import os, sys
from pathlib import Path
from voice_mcp.storage.files import make_folder, open_private
os.umask(int(sys.argv[2], 8))
folder = Path(sys.argv[1], "logs", "events")
make_folder(folder.parent.parent, folder)
os.close(open_private(folder / "a.jsonl", os.O_WRONLY | os.O_CREAT))
"""


@pytest.mark.parametrize("umask", ["000", "022", "777"])
def test_folders_and_files_are_private_whatever_the_umask(tmp_path: Path, umask: str) -> None:
    root = tmp_path / "parent" / "root"
    run(MAKE_UNDER_AN_ODD_UMASK, str(root), umask)
    assert {mode(path) for path in (root.parent, root, root / "logs", root / "logs" / "events")} == {0o700}
    assert mode(root / "logs" / "events" / "a.jsonl") == 0o600


def test_folders_below_the_root_are_made_private_and_the_root_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    make_folder(tmp_path, tmp_path / "logs")
    assert (mode(tmp_path), mode(tmp_path / "logs")) == (0o755, 0o700)


def test_a_file_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.touch(mode=0o644)
    os.close(open_private(path, os.O_WRONLY))
    assert mode(path) == 0o600


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "logs").symlink_to(outside)
    with pytest.raises(StorageError, match="leads out of the data folder"):
        make_folder(root, root / "logs" / "events")
    assert list(outside.iterdir()) == []


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    make_folder(tmp_path / "root", tmp_path / "root" / "audio")
    assert (tmp_path / "disk" / "audio").is_dir()


def test_a_root_below_a_regular_file_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "root"
    with pytest.raises(StorageError, match="could not be made: Not a directory") as caught:
        make_folder(root, root / "logs")
    assert "VOICEMODE_BASE_DIR" in caught.value.advice


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(StorageError, match="File exists"):
        make_folder(tmp_path, tmp_path / "logs")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        open_private(tmp_path / "pipe", os.O_RDWR)


def test_a_file_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link", os.O_RDWR)


def test_a_missing_folder_holds_nothing_and_a_file_cannot_be_listed(tmp_path: Path) -> None:
    assert list_folder(tmp_path / "missing") == []
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be listed: Not a directory"):
        list_folder(tmp_path / "file")
