"""A whole house for a test: the real thing on a temporary data root, with its events at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voice_mcp.app import App
from voice_mcp.clock import Clock
from voice_mcp.events import EventRecorder
from voice_mcp.settings import Settings


def make_house(base_dir: Path, *, events: EventRecorder | None = None, clock: Clock | None = None, **given: Any) -> App:
    """A house that speaks with tones into a device that keeps no time, unless told otherwise."""
    values: dict[str, Any] = {"base_dir": base_dir, "tts_engine": "tone", "audio_output": "file", **given}
    return App(Settings(**values), events=events, clock=clock)


def exchanges(base_dir: Path) -> list[dict[str, Any]]:
    """The lines of the conversation log."""
    return _lines(base_dir / "logs" / "conversations")


def logged_events(base_dir: Path) -> list[dict[str, Any]]:
    """The lines of the event log."""
    return _lines(base_dir / "logs" / "events")


def everything_in(folder: Path) -> bytes:
    """Every byte of every file below a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
