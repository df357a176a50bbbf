"""How the commands talk: on a terminal for people, in a pipe as plain lines that lose nothing, as JSON when asked.

Everything that comes from records, engines and devices goes through ``visible``: a file name or a message must not be
able to move the cursor or to clear the screen.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_mcp.errors import VoiceError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option every command has that prints facts."""

_CONTROLS = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\n")}


def tame_streams() -> None:
    """See that no character can break the output: a Windows pipe or LC_ALL=C cannot hold every one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def standard_output() -> Console:
    """Where results go."""
    return _console(stderr=False)


def standard_error() -> Console:
    """Where everything goes that is no result."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def complain(error: VoiceError) -> None:
    """Say what failed and what to do next."""
    console = standard_error()
    line = Text("voice-mcp: ", style="bold red")
    line.append(visible(error.message), style="not bold default")
    line.append(f" {visible(error.hint)}", style="not bold default")
    console.print(line)


def warn(sentence: str) -> None:
    """Say something on standard error that is no failure."""
    line = Text("voice-mcp: ", style="yellow")
    line.append(visible(sentence), style="default")
    standard_error().print(line)


def print_json(value: object) -> None:
    """Print ``value``; what JSON does not know becomes text."""
    typer.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON that survives the encoding of standard output."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    whole = encoding.lower().replace("-", "") == "utf8"
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(value, ensure_ascii=not whole, indent=indent, separators=separators, default=str)


def visible(text: object) -> str:
    """``text`` without what would control the terminal."""
    return str(text).translate(_CONTROLS)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Sequence[str] = (),
    rigid: Sequence[str] = (),
) -> None:
    """Print rows: folded into the width of a terminal, or aligned and whole in a pipe.

    Args:
        headings: One a column.
        rows: Cells as plain text.
        styles: One a column from the left; the others get none.
        rigid: Headings of the columns that are never folded.
    """
    console = standard_output()
    cells = [[visible(cell) for cell in row] for row in rows]
    if not console.is_terminal:
        for line in _aligned([list(headings), *cells]):
            console.print(line)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for index, heading in enumerate(headings):
        style = styles[index] if index < len(styles) else ""
        table.add_column(heading, style=style, overflow="fold", no_wrap=heading in rigid)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def print_entry(name: str, facts: Sequence[str], place: str = "") -> None:
    """Print what is known of one thing, for people; the place, a path, on a line that is not folded: it can be copied.

    Args:
        name: What it is.
        facts: In a few words each; empty ones are left out.
        place: Where it is.
    """
    console = standard_output()
    line = Text(visible(name), style="bold")
    line.append(f"  {visible(' · '.join(filter(None, facts)))}", style="not bold")
    console.print(line)
    if place:
        console.print(Text(f"    {visible(place)}", style="dim"), soft_wrap=True)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, columns two spaces apart; one row is one line."""
    flat = [[cell.replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*flat, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in flat
    ]


def local_time(timestamp: object) -> datetime | None:
    """A record's time on the clock of this place; None when it is none."""
    try:
        moment = datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else timestamp
        return moment.astimezone() if isinstance(moment, datetime) else None
    except (ValueError, OverflowError):  # the last hours of the last year there is, seen from elsewhere
        return None


def minutes(moment: datetime | None) -> str:
    """Day, hour and minute."""
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
