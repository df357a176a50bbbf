"""Which model of the catalogue a file of a voice belongs to, and whose it is otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.extras import need
from voice_mcp.errors import EngineError
from voice_mcp.parts import build_neural
from voice_mcp.settings import Settings
from voice_mcp.storage.models import Models
from voice_mcp.storage.voice_files import model_of


@pytest.mark.parametrize("name", ["kokoro", "kokoro-int8", "en_US-joe-medium"])
def test_a_network_in_the_folder_of_models_belongs_to_the_model_that_brings_it(tmp_path: Path, name: str) -> None:
    models = Models(tmp_path)

    assert model_of(models, models.folder / models.known(name).files[0].file) == name


def test_a_network_elsewhere_or_of_another_name_is_the_users_own(tmp_path: Path) -> None:
    models = Models(tmp_path)

    assert model_of(models, tmp_path / "en_US-joe-medium.onnx") is None
    assert model_of(models, models.folder / "my-own.onnx") is None


def test_a_path_is_seen_from_where_the_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert model_of(Models(tmp_path), Path("models") / "en_US-joe-medium.onnx") == "en_US-joe-medium"


@pytest.mark.anyio
async def test_a_damaged_file_that_two_models_share_is_mended_by_the_one_that_is_set(tmp_path: Path) -> None:
    need("kokoro_onnx")
    models = Models(tmp_path)
    models.folder.mkdir()
    for name in ("kokoro", "kokoro-int8"):
        for file in models.known(name).files:
            path = models.folder / file.file
            path.touch()
            os.truncate(path, file.size_bytes)  # as long as it should be, and nothing but zeros

    engine = build_neural(Settings(base_dir=tmp_path, kokoro_model="kokoro-int8"), "kokoro")
    with pytest.raises(EngineError, match=r"voices-v1\.0\.bin") as caught:
        await engine.check()
    assert "`voice-mcp models install kokoro-int8`" in caught.value.hint
    await engine.aclose()
