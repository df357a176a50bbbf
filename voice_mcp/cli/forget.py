"""`voice-mcp forget`: delete what was kept."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from voice_mcp.cli.house import conversation_log, read_settings
from voice_mcp.cli.numbers import size_text
from voice_mcp.cli.output import AsJson, print_json, standard_error, standard_output, visible
from voice_mcp.cli.short_id import known_id
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.errors import InvalidInput
from voice_mcp.storage.event_log import read_events
from voice_mcp.storage.forgetting import Forgotten, Selection
from voice_mcp.storage.forgetting import forget as forget_records
from voice_mcp.storage.kept import conversation_folders
from voice_mcp.storage.paths import DataRoot

Conversation = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="A conversation: its ID, or the end that `log` shows.")
]
Before = Annotated[
    str | None, typer.Option("--before", metavar="DATE", help="All that is of days (UTC) before this one: 2026-01-31.")
]
All = Annotated[bool, typer.Option("--all", help="Everything: what was said and heard, and what happened.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")]


def forget(
    conversation: Conversation = None,
    before: Before = None,
    everything: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete recordings, transcripts, log lines and kept phrases: of a conversation, before a day, or all of them.

    A server that is running goes on to write what happens after this.
    """
    settings = read_settings()
    root = DataRoot(settings.base_dir)
    event_files = root.event_files(settings.event_log_dir)
    selection = _selection(conversation, before, everything)
    if selection.conversation_id is not None:
        exchanges, _ = conversation_log(settings)
        known = {summary.id for summary in exchanges.conversations()}
        known |= {folder.name for folder in conversation_folders(root)}
        known |= {str(event.get("conversation_id")) for event in read_events(event_files)}
        selection = Selection(conversation_id=known_id(selection.conversation_id, known))
    planned = forget_records(root, event_files, selection, really=False)
    if not dry_run and not planned.is_nothing:
        if not yes:
            _confirm(planned)
        planned = forget_records(root, event_files, selection)
    if as_json:
        print_json({**asdict(planned), "dry_run": dry_run})
    else:
        _tell(planned, "would be deleted" if dry_run else "deleted")
    if planned.left:
        raise typer.Exit(1)


def _selection(conversation: str | None, before: str | None, everything: bool) -> Selection:
    given = [part for part in (conversation, before, everything or None) if part is not None]
    if len(given) != 1:
        raise InvalidInput(
            "It is not clear what to forget.",
            hint="Name one conversation, or a day with --before, or everything with --all.",
        )
    if conversation is not None:
        return Selection(conversation_id=check_conversation_id(conversation))
    if before is None:
        return Selection(everything=True)
    try:
        return Selection(before=date.fromisoformat(before))
    except ValueError as exc:
        raise InvalidInput(f"{before!r} is no date.", hint="Write it as 2026-01-31.") from exc


def _confirm(planned: Forgotten) -> None:
    """Ask the person who is there.

    Raises:
        InvalidInput: Nobody is.
    """
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"Nobody can be asked whether to delete {_amount(planned)}.", hint="Say --yes, or --dry-run to look first."
        )
    if not typer.confirm(f"Delete {_amount(planned)}? This cannot be undone.", err=True):
        raise typer.Abort


def _tell(forgotten: Forgotten, done: str) -> None:
    console = standard_output()
    console.print(f"{_amount(forgotten)} {done}." if not forgotten.is_nothing else "There was nothing to forget.")
    for sentence in forgotten.left:
        standard_error().print(visible(f"voice-mcp: could not be deleted: {sentence}"))


def _amount(forgotten: Forgotten) -> str:
    counts = (
        _counted(forgotten.recordings, "recording"),
        _counted(forgotten.transcripts, "transcript"),
        _counted(forgotten.exchanges, "line", " of the conversation log"),
        _counted(forgotten.events, "line", " of the event log"),
        _counted(forgotten.phrases, "kept phrase"),
    )
    return f"{', '.join(filter(None, counts)) or 'Nothing'} ({size_text(forgotten.size_bytes)})"


def _counted(count: int, what: str, of: str = "") -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}{of}" if count else ""
