"""A key finds the data folder where the settings have it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voice_mcp.cli.base_dir import base_dir
from voice_mcp.errors import SettingsError
from voice_mcp.settings import load_settings


@pytest.mark.parametrize(
    ("environment", "project", "home"),
    [
        ({}, None, None),
        ({"VOICEMODE_BASE_DIR": "/env"}, None, None),
        ({"VOICEMODE_BASE_DIR": "~/below"}, None, None),
        ({"VOICEMODE_BASE_DIR": "relative"}, None, None),
        ({"voicemode_base_dir": "/lower"}, None, None),
        ({"VOICEMODE_BASE_DIR": ""}, None, "VOICEMODE_BASE_DIR=/home-file"),
        ({}, "VOICEMODE_BASE_DIR=/project", "VOICEMODE_BASE_DIR=/home-file"),
        ({}, None, "VOICEMODE_BASE_DIR=/home-file"),
        ({}, "voicemode_base_dir='/quoted dir' # a comment", None),
        ({}, "VOICEMODE_DEBUG=true", "VOICEMODE_TTS_SPEED=2"),
        ({"VOICEMODE_BASE_DIR": "/env"}, "VOICEMODE_BASE_DIR=/project", None),
    ],
)
def test_it_is_the_one_of_the_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    project: str | None,
    home: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    home_file = Path("~/.voicemode/voicemode.env").expanduser()
    for path, content in ((tmp_path / ".env", project), (home_file, home)):
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    assert base_dir() == os.path.abspath(load_settings().settings.base_dir)


def test_settings_that_cannot_be_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("VOICEMODE_BASE_DIR=/project\nVOICEMODE_TTS_SPEED=much")
    with pytest.raises(SettingsError):
        base_dir()
