"""`voice-mcp doctor`: whether speaking and listening can work, and what to do where they cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.examine import examine
from voice_mcp.cli.house import prepare_process
from voice_mcp.cli.output import AsJson, print_json, standard_output, visible
from voice_mcp.cli.report import Check, Report, State
from voice_mcp.errors import SettingsError
from voice_mcp.settings import load_settings

STYLES = {State.OK: "green", State.WARNING: "yellow", State.BROKEN: "bold red"}
STATE_CELLS = max(map(len, State))


def doctor(as_json: AsJson = False) -> None:
    """Check everything that speaking and listening need; exit code 1 when speaking cannot work."""
    report = _examine()
    if as_json:
        print_json(_record(report))
    else:
        _print(report)
    if not report.can_speak:
        raise typer.Exit(1)


def _examine() -> Report:
    try:
        loaded = load_settings(tolerant=True)
        prepare_process(loaded)
        return asyncio.run(examine(loaded))
    except SettingsError as exc:
        return Report((Check("settings", State.BROKEN, exc.message, exc.hint),), exc.message)


def _record(report: Report) -> dict[str, Any]:
    checks = [
        {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint or None}
        for check in report.checks
    ]
    return {"can_speak": report.can_speak, "verdict": report.verdict, "checks": checks}


def _print(report: Report) -> None:
    console = standard_output()
    name_cells = max(len(check.name) for check in report.checks)
    if console.is_terminal:
        for check in report.checks:
            console.print(_for_people(check, name_cells))
        console.print(Text(f"\n{report.verdict}", style="bold green" if report.can_speak else "bold red"))
        return
    for check in report.checks:
        line = f"{check.state:<{STATE_CELLS}}  {check.name:<{name_cells}}  {check.detail} {check.hint}"
        console.print(visible(line).rstrip())
    console.print(report.verdict)


def _for_people(check: Check, name_cells: int) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(style=STYLES[check.state], min_width=STATE_CELLS, no_wrap=True)
    line.add_column(style="bold", min_width=name_cells, no_wrap=True)
    line.add_column(overflow="fold")
    fact = Text(visible(check.detail))
    if check.hint:
        fact.append(f"\n{visible(check.hint)}", style="dim")
    line.add_row(check.state, check.name, fact)
    return line
