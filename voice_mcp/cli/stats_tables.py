"""The statistics as text: a paragraph for each engine on a terminal, a table of everything in a pipe, and the days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.captions import clock_text
from voice_mcp.cli.first_audio import STAGES, milliseconds_text, stages_text
from voice_mcp.cli.output import print_table, standard_output, visible
from voice_mcp.cli.sparkline import can_show_blocks, sparkline
from voice_mcp.cli.statistics import Statistics
from voice_mcp.cli.tally import PERCENTS, Tally, percentile

MOST_BLOCKS = 30
"""With its label and its range a row of so many fits into 80 columns."""
NONE = "-"

_SPARED = ("P99", "GAP S", "FAILED", "SPOKEN", "CUT", "ERRORS")
"""Columns that narrow terminals do without, in this order."""

Column = Callable[[Tally], str]


def print_statistics(statistics: Statistics) -> None:
    """Print all of it."""
    console = standard_output()
    if console.is_terminal:
        _print_for_people(console, statistics)
    else:
        _print_engines(console, statistics)
    if len(statistics.days) > 1:
        console.print()
        if console.is_terminal:
            console.print("By day", style="bold", end=" ")
            console.print("(first sound in ms, gaps in s)", style="dim")
        _print_days(console, statistics)


def period_text(statistics: Statistics) -> str:
    """Which days, and how much was said in them."""
    first, last, whole = statistics.first, statistics.last, statistics.tally()
    days = f"{last}" if first == last else f"{first} to {last}"
    return f"{days} · {_counted(whole.utterances, 'utterance')} · {clock_text(whole.spoken_s)} of speech"


def shown_name(engine: str) -> str:
    """An engine as people see it."""
    return " ".join(visible(engine).split()) or "(no engine)"


# --- for people ----------------------------------------------------------------------------------------------------


def _print_for_people(console: Console, statistics: Statistics) -> None:
    """Lines with a label: a table of everything is wider than most terminals."""
    console.print(period_text(statistics), style="dim")
    for engine in statistics.engines:
        tally = statistics.tally(engine)
        heading = Text(shown_name(engine), style="bold green")
        said = f"{_counted(tally.utterances, 'utterance')}, {clock_text(tally.spoken_s)} of speech"
        heading.append(f"  {said}", style="not bold default")
        console.print()
        console.print(heading)
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        trend = _trend_text(console, statistics, engine)
        for label, text in (*_facts(tally), ("day by day", trend)):
            if text:
                lines.add_row(f"  {label}", text)
        console.print(lines)


def _facts(tally: Tally) -> Iterator[tuple[str, str | Text]]:
    """Label and text of each line; an empty text is left out."""
    found = [(percent, tally.ttfa_percentile_ms(percent)) for percent in PERCENTS]
    yield (
        "first sound",
        " · ".join(f"p{percent} {_ms(value)} ms" for percent, value in found if value is not None),
    )
    yield "spent on", "" if tally.median_split is None else f"{stages_text(*tally.median_split)} ms"
    yield "gaps", _gaps_text(tally)
    yield "stream", " · ".join(_stream(tally))
    yield "trouble", _trouble_text(tally)


def _gaps_text(tally: Tally) -> str | Text:
    if not tally.underruns:
        return Text("none", style="green") if tally.spoken_s else ""
    number = f"{tally.underruns} ({_rate(tally.per_hour(tally.underruns))} an hour of speech)"
    silence = f"{tally.inserted_s:.2f} s of silence ({_rate(tally.per_hour(tally.inserted_s))} s an hour)"
    return Text(f"{number} · {silence}", style="yellow")


def _stream(tally: Tally) -> Iterator[str]:
    pace, decode_ms = percentile(tally.paces, 50), percentile(tally.decode_ms_per_s, 50)
    if pace is not None:
        yield f"{pace:.1f} × real time"
    if tally.buffer_least_ms:
        yield f"buffer at least {min(tally.buffer_least_ms):.0f} ms"
    if decode_ms is not None:
        yield f"decoding {decode_ms:.1f} ms/s"
    if tally.cached:
        yield f"{tally.cached} from the cache"


def _trouble_text(tally: Tally) -> str | Text:
    words = (
        (tally.errors, "error" if tally.errors == 1 else "errors"),
        (tally.failed, "failed"),
        (tally.resumes, "resumed"),
        (tally.switches, "switched"),
        (tally.device_changes, "device change" if tally.device_changes == 1 else "device changes"),
        (tally.decode_errors, "damaged"),
        (tally.interrupted, "interrupted"),
    )
    text = " · ".join(f"{count} {word}" for count, word in words if count)
    return Text(text, style="red" if tally.errors or tally.failed else "") if text else Text("none", style="green")


def _trend_text(console: Console, statistics: Statistics, engine: str) -> str:
    medians = _medians(statistics, engine)
    known = [value for value in medians if value is not None]
    if len(known) < 2:
        return ""
    days = statistics.step_days(MOST_BLOCKS)
    each = f", {days} days each" if days > 1 else ""
    bars = sparkline(medians, blocks=can_show_blocks(console))
    return f"{bars}  p50 {_ms(min(known))} to {_ms(max(known))} ms{each}"


def _medians(statistics: Statistics, engine: str) -> list[float | None]:
    """Of the time to first audio, step by step."""
    steps = statistics.steps(MOST_BLOCKS)
    return [statistics.of_step(step, engine).ttfa_percentile_ms(50) for step in steps]


# --- tables --------------------------------------------------------------------------------------------------------

_FIRST_SOUND: Mapping[str, Column] = {
    "SAID": lambda tally: str(tally.utterances),
    "SPOKEN": lambda tally: clock_text(tally.spoken_s),
    "P50": lambda tally: _ms(tally.ttfa_percentile_ms(50)),
    "P95": lambda tally: _ms(tally.ttfa_percentile_ms(95)),
    "P99": lambda tally: _ms(tally.ttfa_percentile_ms(99)),
}
_GAPS: Mapping[str, Column] = {
    "GAPS": lambda tally: str(tally.underruns),
    "GAP S": lambda tally: f"{tally.inserted_s:.2f}",
}
_GAPS_PER_HOUR: Mapping[str, Column] = {
    "GAPS/H": lambda tally: _rate(tally.per_hour(tally.underruns)),
    "GAP S/H": lambda tally: _rate(tally.per_hour(tally.inserted_s)),
    "RESUMED": lambda tally: str(tally.resumes),
    "SWITCHED": lambda tally: str(tally.switches),
}
_TROUBLE: Mapping[str, Column] = {
    "ERRORS": lambda tally: str(tally.errors),
    "FAILED": lambda tally: str(tally.failed),
    "CUT": lambda tally: str(tally.interrupted),
}


def _print_engines(console: Console, statistics: Statistics) -> None:
    """Every engine in one line, for programs and for wide windows."""
    tallies = {engine: statistics.tally(engine) for engine in statistics.engines}
    columns = {**_FIRST_SOUND, **_stage_columns(), **_GAPS, **_GAPS_PER_HOUR, **_TROUBLE}
    blocks = can_show_blocks(console)
    trends = [sparkline(_medians(statistics, engine), blocks=blocks) for engine in tallies]
    names = [shown_name(engine) for engine in tallies]
    _print({"ENGINE": names, **_aligned(columns, list(tallies.values())), "P50 BY DAY": trends})


def _print_days(console: Console, statistics: Statistics) -> None:
    """As many figures as fit; in a pipe all of them do."""
    days = statistics.days
    tallies = [statistics.tally(None, day, day) for day in days]
    columns = _aligned({**_FIRST_SOUND, **_GAPS, **_TROUBLE}, tallies)
    whole = {"DAY": [day.isoformat() for day in days], **columns}
    if console.is_terminal:
        for name in _SPARED:
            if sum(len(cells[0]) + 2 for cells in whole.values()) - 2 > console.width:
                whole = {heading: cells for heading, cells in whole.items() if heading.strip() != name}
    _print(whole)


def _aligned(columns: Mapping[str, Column], tallies: Sequence[Tally]) -> dict[str, list[str]]:
    """Headings and cells, as wide as each other: the numbers stand under each other by their last digit."""
    aligned: dict[str, list[str]] = {}
    for title, column in columns.items():
        values = [column(tally) for tally in tallies]
        width = max(map(len, (title, *values)))
        aligned[title.rjust(width)] = [value.rjust(width) for value in values]
    return aligned


def _print(columns: Mapping[str, Sequence[str]]) -> None:
    rows = list(zip(*columns.values(), strict=True))
    print_table(list(columns), rows, styles=("bold",), rigid=list(columns)[1:])


def _stage_columns() -> dict[str, Column]:
    return {stage.upper(): partial(_stage, stage) for stage in STAGES}


def _stage(stage: str, tally: Tally) -> str:
    split = tally.median_split
    return NONE if split is None else _ms(split[1][stage])


# --- numbers -------------------------------------------------------------------------------------------------------


def _ms(value: float | None) -> str:
    return NONE if value is None else milliseconds_text(value)


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
