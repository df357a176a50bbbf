"""`voice-mcp voices`: who can speak."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.output import AsJson, print_json, print_table, warn
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.status import voices_record
from voice_mcp.errors import EngineError, InvalidInput
from voice_mcp.parts import NEURAL
from voice_mcp.settings import Settings

EXTRAS = (*NEURAL, "csm")

EngineName = Annotated[str | None, typer.Option("--engine", "-e", help="Only this engine's, or this endpoint's.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Only these: de, or en-us.")]


def voices(engine: EngineName = None, language: Language = None, as_json: AsJson = False) -> None:
    """List the voices of every engine that may be asked."""
    record = asyncio.run(_ask(read_settings(), engine))
    entries = record["engines"]
    for entry in entries:
        if language is not None and "voices" in entry:
            entry["voices"] = [voice for voice in entry["voices"] if _speaks(voice["language"], language)]
    if as_json:
        print_json(record)
    problems = [entry["problem"] for entry in entries if "problem" in entry]
    if len(problems) == len(entries):
        raise EngineError(" ".join(problems))
    if not as_json:
        _print(entries)
    for problem in problems:
        warn(problem)


async def _ask(settings: Settings, engine_name: str | None) -> dict[str, Any]:
    async with house(settings) as app:
        engines = [engine for engine in app.engines if engine_name in (None, engine.name)]
        if not engines:
            names = ", ".join(engine.name for engine in app.engines)
            if engine_name in EXTRAS:
                hint = "docs/engines.md says what brings it; VOICEMODE_TTS_ENGINE chooses it."
                raise InvalidInput(f"{engine_name} is not installed, or not to be asked.", hint=hint)
            raise InvalidInput(f"There is no engine {engine_name!r}.", hint=f"There are: {names}.")
        return await voices_record(SpeechRoster(engines, app.clock))


def _speaks(tag: str, wanted: str) -> bool:
    """Whether a voice's language is the one that is wanted, or a kind of it: ``de`` takes ``de-AT``."""
    have, want = tag.casefold().replace("_", "-"), wanted.casefold().replace("_", "-")
    return have == want or have.startswith(f"{want}-")


def _print(entries: list[dict[str, Any]]) -> None:
    rows = [
        (voice["name"], voice["language"], voice["description"], entry["engine"])
        for entry in entries
        for voice in entry.get("voices", ())
    ]
    if not rows:
        warn("There is no such voice.")
        return
    print_table(("VOICE", "LANGUAGE", "DESCRIPTION", "ENGINE"), rows, styles=("bold", "cyan", "", "dim"))
