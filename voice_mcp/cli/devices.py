"""`voice-mcp devices`: where sound can go, and where it can come from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from voice_mcp.capture.link import INPUT_BACKENDS
from voice_mcp.cli.examine_sound import ELSEWHERE, problem_of
from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.output import AsJson, print_json, print_table, warn
from voice_mcp.pipe.devices import DeviceList
from voice_mcp.playback.link import DEVICE_BACKENDS
from voice_mcp.settings import Settings


def devices(as_json: AsJson = False) -> None:
    """List the output and input devices, as each audio library sees them."""
    settings = read_settings()
    outputs, inputs = asyncio.run(_ask(settings))
    if as_json:
        print_json({"output": [_record(entry) for entry in outputs], "input": [_record(entry) for entry in inputs]})
        return
    rows = [*_rows("output", outputs), *_rows("input", inputs)]
    if rows:
        headings = ("DEVICE", "FOR", "LIBRARY", "")
        print_table(headings, rows, styles=("bold", "", "cyan", "green"), rigid=("FOR", "LIBRARY"))
    for problem in dict.fromkeys(problem_of(entry.problem) for entry in (*outputs, *inputs) if entry.problem):
        warn(problem)
    if not any(entry.names for entry in outputs):
        warn(f"There is no output device. {ELSEWHERE}")
    if inputs and not any(entry.names for entry in inputs):
        warn("There is no microphone.")


async def _ask(settings: Settings) -> tuple[list[DeviceList], list[DeviceList]]:
    """Outputs and inputs; no inputs where nothing may listen."""
    async with house(settings) as app:
        if app.microphone is None:
            return await app.link.devices(DEVICE_BACKENDS), []
        outputs, inputs = await asyncio.gather(
            app.link.devices(DEVICE_BACKENDS), app.microphone.devices(INPUT_BACKENDS)
        )
        return outputs, inputs


def _rows(direction: str, lists: Sequence[DeviceList]) -> list[tuple[str, ...]]:
    return [
        (name, direction, entry.backend, "default" if index == 0 else "")
        for entry in lists
        for index, name in enumerate(entry.names)
    ]


def _record(entry: DeviceList) -> dict[str, object]:
    return {"backend": entry.backend, "devices": list(entry.names), "problem": entry.problem}
