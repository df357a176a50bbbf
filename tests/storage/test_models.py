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
from voice_mcp.storage.model_catalogue import CATALOGUE
from voice_mcp.storage.model_entry import Model, Purpose, WeightFile
from voice_mcp.storage.models import Models

CONTENT = bytes(range(256)) * 40


def entry(content: bytes = CONTENT, name: str = "small-one") -> Model:
    return Model(name, Purpose.LISTENING, (part_of(f"{name}.bin", content),), "MIT (nobody)", "nothing")


def part_of(file: str, content: bytes) -> WeightFile:
    return WeightFile(file, len(content), hashlib.sha256(content).hexdigest(), f"http://127.0.0.1:1/{file}")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "data", (entry(),))


def install(models: Models, content: bytes = CONTENT) -> Path:
    with models.receive(models.known("small-one").files[0]) as reception:
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
    with models.receive(models.known("small-one").files[0]) as reception:
        assert reception.received_bytes == 0


def test_what_is_too_long_is_refused_before_the_disk_is_full_of_it(models: Models) -> None:
    with pytest.raises(DownloadFailed, match="longer"):
        install(models, CONTENT + b"!")
    assert models.path("small-one") is None


def test_what_broke_off_is_there_for_the_next_time(models: Models) -> None:
    with pytest.raises(DownloadFailed, match=r"Only 1,000 of the 10,240 bytes of small-one.bin"):
        install(models, CONTENT[:1000])
    assert models.path("small-one") is None
    with models.receive(models.known("small-one").files[0]) as reception:
        assert reception.received_bytes == 1000
        reception.write(CONTENT[1000:])
        assert reception.finish().read_bytes() == CONTENT


def test_two_cannot_install_at_the_same_time(models: Models) -> None:
    (file,) = models.known("small-one").files
    with models.receive(file), pytest.raises(StorageError, match="locked"), models.receive(file):
        pass


def test_no_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    endless = WeightFile("endless.bin", 1 << 60, "0" * 64, "http://127.0.0.1:1/x")
    models = Models(tmp_path / "data", (Model("endless", Purpose.TURN, (endless,), "MIT", "nothing"),))
    with pytest.raises(StorageError, match="There is no room"), models.receive(endless):
        pass


def test_a_file_of_another_length_is_not_taken_for_installed(models: Models) -> None:
    path = install(models)
    path.write_bytes(b"half a file")
    assert models.path("small-one") is None


def test_a_file_that_was_changed_since_it_came_is_not_intact(models: Models) -> None:
    (file,) = models.known("small-one").files
    assert not models.is_intact(file)
    path = install(models)
    assert models.is_intact(file)
    path.write_bytes(bytes(len(CONTENT)))
    assert not models.is_intact(file)


def test_nothing_is_removed_from_under_somebody_who_installs(models: Models) -> None:
    (file,) = models.known("small-one").files
    with models.receive(file) as reception:
        with pytest.raises(StorageError) as refused:
            models.remove("small-one")
        reception.write(CONTENT)
        assert reception.finish().is_file()
    assert refused.value.hint is not None
    assert "being installed" in refused.value.hint


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


@pytest.fixture
def pairs(tmp_path: Path) -> Models:
    """Two models of two files each, one of which both need."""
    shared = part_of("voices.bin", b"voices")
    large = Model("large", Purpose.SPEAKING, (part_of("large.onnx", b"large"), shared), "MIT", "nothing")
    small = Model("small", Purpose.SPEAKING, (part_of("small.onnx", b"small"), shared), "MIT", "nothing")
    return Models(tmp_path / "data", (large, small))


def bring(models: Models, name: str, *numbers: int) -> None:
    """Install files of a model, each of which holds its own name."""
    for number in numbers:
        file = models.known(name).files[number]
        with models.receive(file) as reception:
            reception.write(file.file.partition(".")[0].encode())
            reception.finish()


def test_a_model_of_several_files_is_installed_when_all_of_them_are_there(pairs: Models) -> None:
    bring(pairs, "large", 0)
    assert pairs.path("large") is None
    with pytest.raises(EngineMissing, match="large is not installed"):
        pairs.installed("large")
    bring(pairs, "large", 1)
    assert pairs.paths("large") == (pairs.folder / "large.onnx", pairs.folder / "voices.bin")
    assert pairs.installed("large") == pairs.paths("large")
    assert pairs.path("large") == pairs.folder / "large.onnx"


def test_removing_a_model_leaves_what_another_one_needs(pairs: Models) -> None:
    bring(pairs, "large", 0, 1)
    bring(pairs, "small", 0)
    assert pairs.remove("large") is True
    assert pairs.path("large") is None
    assert pairs.path("small") is not None
    assert pairs.remove("small") is True
    assert not (pairs.folder / "voices.bin").exists()


def test_the_catalogue_names_every_file_with_one_checksum_and_address_of_its_own() -> None:
    assert len({model.name for model in CATALOGUE}) == len(CATALOGUE)
    files = {file for model in CATALOGUE for file in model.files}
    for part in ("file", "sha256", "address"):
        assert len({getattr(file, part) for file in files}) == len(files)
    for file in files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.address.startswith("https://")
        assert file.size_bytes > (1_000 if file.file.endswith(".json") else 1_000_000)
        assert re.fullmatch(r"[\w.-]+", file.file)
