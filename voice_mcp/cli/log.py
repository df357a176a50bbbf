"""`voice-mcp log`: the event log as readable lines."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.facts import facts_of
from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import json_text, local_time, standard_output, visible, warn
from voice_mcp.cli.short_id import SHORT_ID_CELLS, short_id, whole_id
from voice_mcp.events import EventType
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.jsonl import read_jsonl
from voice_mcp.storage.paths import DataRoot

LOOK_EVERY_S = 0.1
TYPE_CELLS = max(map(len, EventType))

STYLES = {
    **dict.fromkeys(("TTS_ERROR", "DEVICE_LOST"), "bold red"),
    **dict.fromkeys(("TTS_UNDERRUN", "PROVIDER_SWITCH", "DEVICE_CHANGED", "TOOL_CANCELLED", "FLOOR_WAIT"), "yellow"),
    **dict.fromkeys(("TTS_PLAYBACK_START", "TTS_PLAYBACK_END"), "green"),
}

Record = Mapping[str, Any]

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl+C.")]
Conversation = Annotated[
    str | None,
    typer.Option("--conversation", "-c", metavar="ID", help="Only this conversation's; its ID, or the end shown here."),
]
Lines = Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last events.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print the lines as they are in the log.")]


def log(
    follow: Follow = False, conversation: Conversation = None, lines: Lines = 40, as_json: JsonLines = False
) -> None:
    """Show what happened: requests, first sounds, gaps, errors."""
    settings = read_settings()
    if not settings.event_log_enabled:
        warn("VOICEMODE_EVENT_LOG_ENABLED=false: nothing is added to the event log.")
    files = DataRoot(settings.base_dir).event_files(settings.event_log_dir)
    if conversation is not None:
        conversation = whole_id(conversation, _ids(files))
    tail = _Tail(lines, _print_as_is if as_json else _Lines().show, follow=follow)
    try:
        # The past and what is added come from one reader, so that nothing falls in between.
        for record in files.follow(tail.wait, from_start=True):
            if conversation in (None, record.get("conversation_id")):
                tail.take(record)
    except KeyboardInterrupt:
        return  # that is how following ends
    if not tail.shown and lines:
        warn(f"There are no such events in {files.folder}.")


class _Tail:
    """Lets the last ``most`` of what is there through, and then everything."""

    def __init__(self, most: int, show: Callable[[Record], None], *, follow: bool) -> None:
        self._last: deque[Record] = deque(maxlen=most)
        self._show = show
        self._follow = follow
        self._caught_up = False
        self._never = threading.Event()
        self.shown = 0

    def take(self, record: Record) -> None:
        """Take the next event."""
        if self._caught_up:
            self._pass_on(record)
        else:
            self._last.append(record)

    def wait(self) -> bool:
        """Called when there is nothing new; whether to look again."""
        if self._caught_up:
            self._never.wait(LOOK_EVERY_S)
            return True
        self._caught_up = True
        while self._last:
            self._pass_on(self._last.popleft())
        return self._follow

    def _pass_on(self, record: Record) -> None:
        self.shown += 1
        self._show(record)


class _Lines:
    """Prints events: whole in a pipe, short on a terminal, where the day stands above its events."""

    def __init__(self) -> None:
        self._console = standard_output()
        self._day = ""

    def show(self, record: Record) -> None:
        """Print one event."""
        moment = local_time(record.get("timestamp"))
        kind, conversation = visible(record.get("event_type", "")), visible(record.get("conversation_id", ""))
        facts = visible(facts_of(record.get("data")))
        if self._console.is_terminal:
            self._show_short(moment, kind, conversation, facts)
        else:
            self._console.print(f"{_stamp(moment)}  {conversation}  {kind:<{TYPE_CELLS}}  {facts}".rstrip())

    def _show_short(self, moment: datetime | None, kind: str, conversation: str, facts: str) -> None:
        day, _, time = _stamp(moment).partition(" ")
        if day != self._day:
            self._day = day
            self._console.print(day, style="bold")
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(style="dim", no_wrap=True)
        line.add_column(style="cyan", no_wrap=True, min_width=SHORT_ID_CELLS, max_width=SHORT_ID_CELLS)
        line.add_column(style=STYLES.get(kind, ""), min_width=TYPE_CELLS, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(time, Text(short_id(conversation)), Text(kind), Text(facts))
        self._console.print(line)


def _stamp(moment: datetime | None) -> str:
    return "?" if moment is None else moment.isoformat(" ", timespec="milliseconds")[:23]


def _ids(files: DailyFiles) -> set[str]:
    """Every conversation that is in the log."""
    return {str(record.get("conversation_id")) for _, path in files.days() for record in read_jsonl(path)}


def _print_as_is(record: Record) -> None:
    typer.echo(json_text(record))
