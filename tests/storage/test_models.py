"""Weights on the disk: what has its name is whole and was checked, and everything else is only a part."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from voice_mcp.errors import DownloadFailed, EngineMissing, InvalidInput, StorageError
from voice_mcp.storage.model_catalogue import CATALOGUE, Model
from voice_mcp.storage.models import Models

CONTENT = bytes(range(256)) * 40


def entry(content: bytes = CONTENT, name: str = "small-one") -> Model:
    digest = hashlib.sha256(content).hexdigest()
    return Model(name, f"{name}.bin", len(content), digest, "MIT (nobody)", "http://127.0.0.1:1/x", "nothing")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "data", (entry(),))


def install(models: Models, content: bytes = CONTENT) -> Path:
    with models.receive(models.known("small-one")) as reception:
        reception.write(content)
        return reception.finish()


def test_what_came_whole_gets_its_name(models: Models) -> None:
    assert models.path("small-one") is None
    path = install(models)
    assert models.path("small-one") == path
    assert path.read_bytes() == CONTENT
    assert [file.name for file in models.folder.iterdir() if file.suffix == ".part"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX systems")
def test_weights_and_their_folder_are_private(models: Models) -> None:
    old = os.umask(0)
    try:
        path = install(models)
    finally:
        os.umask(old)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


def test_what_is_not_the_right_file_gets_no_name_and_is_not_kept(models: Models) -> None:
    wrong = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadFailed, match=hashlib.sha256(wrong).hexdigest()):
        install(models, wrong)
    assert models.path("small-one") is None
    with models.receive(models.known("small-one")) as reception:
        assert reception.received_bytes == 0


def test_what_is_too_long_is_refused_before_the_disk_is_full_of_it(models: Models) -> None:
    with pytest.raises(DownloadFailed, match="longer"):
        install(models, CONTENT + b"!")
    assert models.path("small-one") is None


def test_what_broke_off_is_there_for_the_next_time(models: Models) -> None:
    with pytest.raises(DownloadFailed, match=r"Only 1,000 of the 10,240 bytes"):
        install(models, CONTENT[:1000])
    assert models.path("small-one") is None
    with models.receive(models.known("small-one")) as reception:
        assert reception.received_bytes == 1000
        reception.write(CONTENT[1000:])
        assert reception.finish().read_bytes() == CONTENT


def test_two_cannot_install_at_the_same_time(models: Models) -> None:
    model = models.known("small-one")
    with models.receive(model), pytest.raises(StorageError, match="locked"), models.receive(model):
        pass


def test_no_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    endless = Model("endless", "endless.bin", 1 << 60, "0" * 64, "MIT", "http://127.0.0.1:1/x", "nothing")
    models = Models(tmp_path / "data", (endless,))
    with pytest.raises(StorageError, match="There is no room"), models.receive(endless):
        pass


def test_a_file_of_another_length_is_not_taken_for_installed(models: Models) -> None:
    path = install(models)
    path.write_bytes(b"half a file")
    assert models.path("small-one") is None


def test_removing_takes_the_file_and_its_part(models: Models) -> None:
    assert models.remove("small-one") is False
    path = install(models)
    assert models.remove("small-one") is True
    assert not path.exists()
    with pytest.raises(DownloadFailed):
        install(models, CONTENT[:5])
    assert models.remove("small-one") is True
    assert models.remove("small-one") is False


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_that_leads_out_of_the_data_folder_is_not_followed(models: Models, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    models.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="leads out"):
        install(models)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_unknown_name_is_refused_with_the_nearest_known_one(models: Models) -> None:
    with pytest.raises(InvalidInput, match="no model 'smal-one'") as refused:
        models.path("smal-one")
    assert refused.value.hint == "Did you mean small-one?"


def test_a_setting_may_name_a_model_or_any_file(models: Models, tmp_path: Path) -> None:
    with pytest.raises(EngineMissing) as missing:
        models.weights("small-one")
    assert missing.value.hint == "Run `voice-mcp models install small-one`."
    own = tmp_path / "own.bin"
    with pytest.raises(EngineMissing, match="neither a model nor a file"):
        models.weights(str(own))
    own.write_bytes(b"mine")
    assert models.weights(str(own)) == own
    path = install(models)
    assert models.weights("small-one") == path


def test_the_catalogue_names_every_file_once_with_a_checksum_and_an_address_of_its_own() -> None:
    for part in ("name", "file", "sha256", "address"):
        assert len({getattr(model, part) for model in CATALOGUE}) == len(CATALOGUE)
    for model in CATALOGUE:
        assert re.fullmatch("[0-9a-f]{64}", model.sha256)
        assert model.address.startswith("https://")
        assert model.size_bytes > 1_000_000
        assert re.fullmatch(r"[\w.-]+", model.file)
