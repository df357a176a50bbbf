from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.fixtures import pulse_card, pulse_where_marked, speech_endpoint

__all__ = ["pulse_card", "pulse_where_marked", "speech_endpoint"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings, the keys or the home folder of whoever runs it."""
    for name in os.environ:
        if name.startswith(("VOICEMODE_", "OPENAI_", "CLAUDE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
