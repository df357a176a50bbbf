"""The statistics as a picture: the time to first sound by day, how much was said, and where the time goes.

Made as ``timeline_plot`` makes its pictures: with matplotlib's objects, without pyplot, and imported when drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from voice_mcp.cli.first_audio import STAGES, milliseconds_text
from voice_mcp.cli.statistics import Statistics, Step
from voice_mcp.cli.stats_tables import shown_name
from voice_mcp.cli.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _ALARM = "#20242c", "#8a909c", "#d0243c"
_ENGINES = (
    *("#2f6fde", "#d9822b", "#2a9d6f", "#8a4fbf", "#7a6a58"),
    *("#c94f8c", "#17a2b8", "#a3a119", "#5f6672"),
)
"""One each; the last is left for those without a name of their own."""
_STAGES = dict(zip(STAGES, ("#98a1b0", "#6c7380", "#c69a2b", "#b0517c", "#5b4b8a", "#55a69f", "#2a7078"), strict=True))
_WIDTH_IN, _FIRST_IN, _SAID_IN, _BAR_IN, _FRAME_IN, _DPI = 12.0, 2.9, 1.5, 0.42, 0.95, 150
_BAND_ALPHA = 0.13
_NARROW_SHARE = 0.05
"""A stage with a smaller share has no room for its number."""
_ROOM = 2.0
"""Free above and below, as a factor: without it a single day would be blown up to a landscape."""
_MOST_STEPS, _MOST_NAMES = 40, 14
_MOST_CHARS = 22
"""Of an engine's name: longer ones would take the room of the picture."""
_LEAST = 1e-3
"""Stands for zero where there must be more than nothing: in a logarithm, a quotient, a height."""


def draw(statistics: Statistics, subtitle: str, file: BinaryIO, kind: str) -> None:
    """Draw it.

    Args:
        statistics: What to draw; not empty.
        subtitle: The second line above.
        file: Where to.
        kind: ``.png`` or ``.svg``, in any letter case.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    statistics = statistics.lumped(len(_ENGINES) - 1)
    split = [engine for engine in statistics.engines if statistics.tally(engine).median_split is not None]
    heights = [_FIRST_IN, _SAID_IN] + [_FRAME_IN + _BAR_IN * len(split)] * bool(split)
    figure = Figure((_WIDTH_IN, sum(heights) + _FRAME_IN), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    for each in axes:
        _frame(each)
    steps = statistics.steps(_MOST_STEPS)
    _draw_first_sounds(axes[0], statistics, steps)
    _draw_speech(axes[1], statistics, steps)
    for each in axes[:2]:
        _name_days(each, steps)
    if split:
        _draw_splits(axes[2], statistics, split)
    axes[0].set_title("Time to first sound", loc="left", fontsize=13, fontweight="bold", color=_INK, pad=24)
    each_days = statistics.step_days(_MOST_STEPS)
    subtitle += f" · {each_days} days a point" if each_days > 1 else ""
    axes[0].annotate(
        subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=_FAINT
    )
    figure.savefig(file, format=kind.lower().lstrip("."))


def _draw_first_sounds(axes: Axes, statistics: Statistics, steps: Sequence[Step]) -> None:
    """A line of medians for each engine, and a band up to the 95th percentile."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    places, names = range(len(steps)), _drawn_names(statistics)
    for engine, colour in _coloured(statistics):
        medians, high = (
            [_percentile(statistics.of_step(step, engine), percent) for step in steps] for percent in (50, 95)
        )
        axes.fill_between(places, medians, high, color=colour, alpha=_BAND_ALPHA, linewidth=0)
        axes.vlines(places, medians, high, color=colour, linewidth=1.2, alpha=0.45)
        axes.plot(medians, "o-", color=colour, linewidth=2, markersize=4.5, label=names.get(engine))
    axes.set_yscale("log")
    if statistics.tally().ttfa_ms:
        lowest, highest = axes.dataLim.intervaly
        axes.set_ylim(lowest / _ROOM, highest * _ROOM)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"))
    axes.minorticks_off()
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    axes.set_ylabel("median, up to\nthe 95th percentile", fontsize=9, color=_INK)
    if names:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9, labelcolor=_INK)


def _draw_speech(axes: Axes, statistics: Statistics, steps: Sequence[Step]) -> None:
    """How many minutes, the engines on top of each other, and in red how many gaps."""
    places, tops = range(len(steps)), [0.0] * len(steps)
    for engine, colour in _coloured(statistics):
        spoken = [statistics.of_step(step, engine).spoken_s / 60 for step in steps]
        axes.bar(places, spoken, bottom=tops, width=0.72, color=colour, alpha=0.75)
        tops = [top + more for top, more in zip(tops, spoken, strict=True)]
    for place, top, step in zip(places, tops, steps, strict=True):
        gaps = statistics.of_step(step).underruns
        if gaps:
            axes.annotate(
                str(gaps), (place, top), (0, 2), textcoords="offset points", color=_ALARM, fontsize=8.5, ha="center"
            )
    axes.set_ylim(0, 1.25 * max([*tops, _LEAST]))
    axes.locator_params(axis="y", nbins=3)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("minutes of speech,\nred: gaps", fontsize=9, color=_INK)


def _draw_splits(axes: Axes, statistics: Statistics, engines: Sequence[str]) -> None:
    """A bar for each engine, all of one length: the stages of its median, in their order."""
    splits = [found for engine in engines if (found := statistics.tally(engine).median_split) is not None]
    rows = range(len(splits) - 1, -1, -1)
    lefts = [0.0] * len(splits)
    for stage in STAGES:
        shares = [stages[stage] / max(sum(stages.values()), _LEAST) for _, stages in splits]
        axes.barh(rows, shares, left=lefts, height=0.62, color=_STAGES[stage], label=stage)
        for row, left, share, (_, stages) in zip(rows, lefts, shares, splits, strict=True):
            if share >= _NARROW_SHARE:
                words = f"{milliseconds_text(stages[stage])} ms"
                axes.text(left + share / 2, row, words, color="white", fontsize=8.5, ha="center", va="center")
        lefts = [left + share for left, share in zip(lefts, shares, strict=True)]
    axes.set_yticks(list(rows), [_label(engine) for engine in engines])
    axes.set_ylim(-0.6, len(splits) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("What the median is spent on", loc="left", fontsize=10.5, fontweight="bold", color=_INK, pad=10)
    middle_below = (0.5, 0)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=middle_below,
        ncols=len(STAGES),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
    )


def _drawn_names(statistics: Statistics) -> dict[str, str]:
    """What the legend calls the engines that made a sound; of the others there is nothing to see."""
    heard = (engine for engine in statistics.engines if _has_sound(statistics.tally(engine)))
    return {engine: _label(engine) for engine in heard}


def _has_sound(tally: Tally) -> bool:
    return bool(tally.ttfa_ms) or tally.spoken_s > 0


def _label(engine: str) -> str:
    """Its name, in which matplotlib shall see no formula; of a long one both ends."""
    name = shown_name(engine)
    if len(name) > _MOST_CHARS:
        name = f"{name[: _MOST_CHARS // 2]}…{name[-(_MOST_CHARS // 2 - 1) :]}"
    return name.replace("$", r"\$")


def _percentile(tally: Tally, percent: int) -> float:
    """No number where there is none, which interrupts the line."""
    value = tally.ttfa_percentile_ms(percent)
    return math.nan if value is None else max(value, _LEAST)


def _coloured(statistics: Statistics) -> list[tuple[str, str]]:
    """Engines and their colours."""
    return list(zip(statistics.engines, _ENGINES, strict=False))


def _name_days(axes: Axes, steps: Sequence[Step]) -> None:
    """Some of the steps by their last day, the last one always."""
    apart = -(-len(steps) // _MOST_NAMES)
    places = range(len(steps) - 1, -1, -apart)
    axes.set_xlim(-0.6, len(steps) - 0.4)
    axes.set_xticks(places, [f"{steps[place].last:%m-%d}" for place in places])


def _frame(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=_INK)
    axes.tick_params(axis="x", color=_FAINT, labelcolor=_INK, labelsize=9)
