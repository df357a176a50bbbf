"""`voice-mcp status`, `hush` and `control`: what runs, and what is said to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args

import typer

from voice_mcp.cli import keys
from voice_mcp.cli.output import AsJson, local_time, print_table
from voice_mcp.control.words import Word

Do = Literal["done", "stop", "repeat", "pause", "resume", "skip"]
WhatToDo = Annotated[
    Do, typer.Argument(metavar="|".join(get_args(Do)), help="done: end your turn; repeat: say the last message again.")
]
Process = Annotated[int | None, typer.Option("--process", "-p", help="A number from `voice-mcp status`.")]
Everywhere = Annotated[bool, typer.Option("--all", "-a", help="Every process.")]


def status(as_json: AsJson = False) -> None:
    """Who speaks, who waits, who listens, and since when.

    The exit code is 3 when no server runs.
    """
    if as_json:
        raise typer.Exit(keys.status_json())
    found = keys.processes()
    if not found:
        typer.echo(keys.NOBODY)
        raise typer.Exit(keys.NOBODY_RUNS)
    now = datetime.now(UTC)
    rows = [row for process in found for row in _rows(process, now)]
    print_table(("PROCESS", "PROJECT", "DOES", "SINCE", "FOR"), rows, rigid=("PROCESS", "SINCE", "FOR"))


def hush() -> None:
    """Silence everything, in all processes, at once; also what waits. Made for a key.

    The exit code is 1 when a process does not answer.
    """
    raise typer.Exit(keys.hush())


def control(do: WhatToDo, process: Process = None, everywhere: Everywhere = False) -> None:
    """Do something to what speaks or listens. Made for a key.

    It goes to the process that speaks or listens, else to the one that spoke last. The exit code is 1 when there was
    nothing to do it to, and 3 when no server runs.
    """
    if process is not None and everywhere:
        raise typer.BadParameter("give a --process or --all, not both", param_hint="--process")
    raise typer.Exit(keys.control(Word(do), process, everywhere=everywhere))


def _rows(process: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, ...]]:
    """One for each who speaks, waits or listens; else one that says so."""
    number, project = str(process["process"]), PurePath(str(process.get("project") or "")).name
    if "problem" in process:
        yield number, project, str(process["problem"]), "", ""
        return
    at_work = list(_at_work(process))
    for does, record in at_work:
        moment = local_time(record.get("since"))
        yield number, project, does, f"{moment:%H:%M:%S}" if moment else "", _length(moment, now)
    if not at_work:
        yield number, project, "nothing", "", ""


def _at_work(process: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if speaking := process.get("speaking"):
        yield "is paused" if speaking.get("paused") else "speaks", speaking
    for place, waiting in enumerate(process.get("waiting") or (), start=1):
        yield f"waits ({place})", waiting
    if listening := process.get("listening"):
        yield "listens", listening


def _length(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    minutes, seconds = divmod(max(0, round((now - moment).total_seconds())), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
