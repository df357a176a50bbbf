"""`voice-mcp stats`: how soon, how smoothly and how reliably was spoken, by engine and by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from voice_mcp.cli.export_target import check_target, new_file
from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import AsJson, print_json, standard_output, warn
from voice_mcp.cli.spoken_log import told_by
from voice_mcp.cli.statistics import Statistics
from voice_mcp.cli.stats_plot import draw
from voice_mcp.cli.stats_tables import period_text, print_statistics, shown_name
from voice_mcp.cli.timeline_plot import check_plot
from voice_mcp.errors import InvalidInput
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.jsonl import read_jsonl
from voice_mcp.storage.paths import DataRoot

DEFAULT_DAYS, MOST_DAYS = 14, 3650

Days = Annotated[int, typer.Option("--days", "-d", min=1, max=MOST_DAYS, help="How many days, today included.")]
EngineName = Annotated[str | None, typer.Option("--engine", "-e", help="Only this engine's, or this endpoint's.")]
Conversation = Annotated[
    str | None, typer.Option("--conversation", "-c", metavar="ID", help="Only this conversation's.")
]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it into this .png or .svg as well.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the picture if it is there already.")]


def stats(
    days: Days = DEFAULT_DAYS,
    engine: EngineName = None,
    conversation: Conversation = None,
    as_json: AsJson = False,
    plot: Plot = None,
    force: Force = False,
) -> None:
    """Show how soon sound began, where that time went, and what gaps and failures there were."""
    settings = read_settings()
    if plot is not None:
        check_plot(plot)
        check_target(plot, force=force)
    if not settings.event_log_enabled:
        warn("VOICEMODE_EVENT_LOG_ENABLED=false: nothing is added to the event log, which this is made of.")
    files = DataRoot(settings.base_dir).event_files(settings.event_log_dir)
    statistics = _count(files, days, conversation)
    if not statistics.engines:
        if as_json:
            print_json(_record(statistics, engine, conversation))
        warn(_nothing(files, days, conversation))
        return
    if engine is not None:
        statistics = _choose(statistics, engine)
    if as_json:
        print_json(_record(statistics, engine, conversation))
    else:
        print_statistics(statistics)
    if plot is not None:
        _draw(statistics, plot, told=not as_json)


def _count(files: DailyFiles, days: int, conversation: str | None) -> Statistics:
    last = datetime.now().astimezone().date()
    statistics = Statistics(last - timedelta(days - 1), last)
    events = _events(files, statistics)
    statistics.take(told_by(event for event in events if conversation in (None, event.get("conversation_id"))))
    return statistics


def _events(files: DailyFiles, statistics: Statistics) -> Iterator[dict[str, Any]]:
    """The lines of the files these days can lie in: a day of this place may begin in UTC's day before or after."""
    earliest, latest = statistics.first - timedelta(1), statistics.last + timedelta(1)
    for day, path in files.days():
        if earliest <= day <= latest:
            yield from read_jsonl(path)


def _choose(statistics: Statistics, engine: str) -> Statistics:
    chosen = statistics.only(engine)
    if not chosen.engines:
        names = ", ".join(shown_name(name) for name in statistics.engines)
        raise InvalidInput(f"Nothing was spoken by an engine {engine!r}.", hint=f"There are: {names}.")
    return chosen


def _nothing(files: DailyFiles, days: int, conversation: str | None) -> str:
    span = "today" if days == 1 else f"in the last {days} days"
    if conversation is not None:
        return (
            f"Nothing was spoken in the conversation {conversation} {span}: "
            "see `voice-mcp conversations list`, or look further back with --days."
        )
    return (
        f"Nothing was spoken {span}, says the event log in {files.folder}: "
        'run `voice-mcp speak "Hello"`, or look further back with --days.'
    )


def _record(statistics: Statistics, engine: str | None, conversation: str | None) -> dict[str, Any]:
    """Everything; docs/statistics.md describes it."""
    return {
        "first_day": statistics.first.isoformat(),
        "last_day": statistics.last.isoformat(),
        "engine": engine,
        "conversation_id": conversation,
        "total": statistics.tally().record(),
        "days": _days_record(statistics),
        "engines": [
            {
                "engine": name or None,
                **statistics.tally(name).record(),
                "days": _days_record(statistics.only(name)),
            }
            for name in statistics.engines
        ],
    }


def _days_record(statistics: Statistics) -> list[dict[str, Any]]:
    return [{"day": day.isoformat(), **statistics.tally(None, day, day).record()} for day in statistics.days]


def _draw(statistics: Statistics, path: Path, *, told: bool) -> None:
    with new_file(path) as file:
        draw(statistics, period_text(statistics), file, path.suffix)
    if told:
        standard_output().print(f"Drawn into {path}.")
