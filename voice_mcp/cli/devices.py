"""`voice-mcp devices`: where sound can go."""

from __future__ import annotations

import asyncio

from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.output import AsJson, print_json, print_table, warn
from voice_mcp.playback.link import DEVICE_BACKENDS, DeviceList
from voice_mcp.settings import Settings


def devices(as_json: AsJson = False) -> None:
    """List the output devices, as each audio library sees them."""
    settings = read_settings()
    lists = asyncio.run(_ask(settings))
    if as_json:
        print_json({"output": [_record(entry) for entry in lists]})
        return
    rows = [
        (name, entry.backend, "default" if index == 0 else "")
        for entry in lists
        for index, name in enumerate(entry.names)
    ]
    if rows:
        print_table(("DEVICE", "LIBRARY", ""), rows, styles=("bold", "cyan", "green"), rigid=("LIBRARY",))
    for entry in lists:
        if entry.problem:
            warn(f"{entry.backend}: {entry.problem}")
    if not rows:
        warn("There is no output device; `voice-mcp doctor` tells what becomes of speech.")


async def _ask(settings: Settings) -> list[DeviceList]:
    async with house(settings) as app:
        return await app.link.devices(DEVICE_BACKENDS)


def _record(entry: DeviceList) -> dict[str, object]:
    return {"backend": entry.backend, "devices": list(entry.names), "problem": entry.problem}
