"""`voice-mcp settings`: every setting, its value and where it came from."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.padding import Padding
from rich.text import Text

from voice_mcp.cli.output import AsJson, complain, print_json, print_table, standard_output, visible, warn
from voice_mcp.settings import LoadedSettings, Origin, load_settings

DEFAULT = "default"


def settings(as_json: AsJson = False) -> None:
    """Show every setting with its value and where it came from. Keys are never shown.

    The exit code is 1 when a value cannot be used.
    """
    loaded = load_settings(tolerant=True)
    if as_json:
        print_json({"settings": [asdict(origin) for origin in loaded.origins], "warnings": loaded.warnings})
    else:
        _print(loaded)
    for problem in loaded.problems:
        complain(problem)
    if loaded.problems:
        raise typer.Exit(1)


def _print(loaded: LoadedSettings) -> None:
    if standard_output().is_terminal:
        _print_for_people(loaded)
    else:
        rows = [(origin.name, origin.value, _source(origin), origin.description) for origin in loaded.origins]
        print_table(("SETTING", "VALUE", "SOURCE", "DESCRIPTION"), rows)
    for warning in loaded.warnings:
        warn(warning)


def _source(origin: Origin) -> str:
    """Where a value comes from, and whether it can be used."""
    return f"{origin.source}: cannot be used" if origin.problem else origin.source


def _print_for_people(loaded: LoadedSettings) -> None:
    """Two lines a setting: a table of four columns leaves no room for any of them on most terminals."""
    console = standard_output()
    for origin in loaded.origins:
        console.print(_assignment(origin))
        console.print(Padding(Text(origin.description, style="dim"), (0, 0, 0, 4)))


def _assignment(origin: Origin) -> Text:
    changed = origin.source != DEFAULT
    if origin.problem:
        line = Text(origin.name, style="bold red")
        line.append(f" = {visible(origin.value)}  ({_source(origin)})", style="not bold red")
        return line
    line = Text(origin.name, style="bold green" if changed else "bold")
    line.append(" = ", style="dim")
    line.append(visible(origin.value) or "(empty)", style="not bold green" if changed else "not bold default")
    if changed:
        line.append(f"  ({origin.source})", style="not bold dim")
    return line
