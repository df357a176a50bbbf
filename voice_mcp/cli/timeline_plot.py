"""A conversation as a picture: a lane for each side, the waits before each utterance, and the gaps in them.

matplotlib draws it, as ``voice-mcp[plot]`` installs it; nothing else of the house needs it or numpy. The picture is
made with matplotlib's objects and without pyplot, which would keep global state and look for a screen.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from voice_mcp.cli.export_record import Sound
from voice_mcp.cli.timeline import Stretch, Timeline, Timing
from voice_mcp.errors import InvalidInput, VoiceError
from voice_mcp.types import PcmFormat

if TYPE_CHECKING:
    import numpy
    from matplotlib.axes import Axes

KINDS = (".png", ".svg")
BIN_S = 0.005
"""Seconds of sound of which only the lowest and the highest sample are kept: an hour is 3 MB."""

_COLUMNS = 2400
"""Columns of the waveform, whatever its length: more than a screen is wide."""
_LABEL_SHARE = 0.05
"""How much of the width a label needs; where the next mark is nearer, there is none."""
_LANES = {"tts": ("Agent", "#2f6fde"), "stt": ("You", "#d9822b")}
_INK, _FAINT, _ALARM = "#20242c", "#8a909c", "#d0243c"
_WIDTH_IN, _LANE_IN, _WAITS_IN, _FRAME_IN, _DPI = 12.0, 1.35, 1.25, 1.25, 150


def check_plot(path: Path) -> None:
    """See that a picture can be made, before any work is done.

    Raises:
        InvalidInput: It has another ending than ``KINDS``.
        VoiceError: matplotlib is not installed.
    """
    if path.suffix.lower() not in KINDS:
        raise InvalidInput(f"{path} is no picture this can draw.", hint=f"End its name in {' or '.join(KINDS)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise VoiceError("Plots need matplotlib, which is not installed.", hint='Run `pip install "voice-mcp[plot]"`.')


class Envelope:
    """The outline of a waveform, collected piece by piece."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._bin_frames = max(1, fmt.frames_in(BIN_S))
        self._bin_s = self._bin_frames / fmt.rate_hz
        self._rest = b""
        self._lows: list[numpy.ndarray] = []
        self._highs: list[numpy.ndarray] = []

    def add(self, pcm: bytes) -> None:
        """The next frames, mono."""
        import numpy

        samples = numpy.frombuffer(self._rest + pcm, "<i2")
        whole = len(samples) - len(samples) % self._bin_frames
        self._rest = samples[whole:].tobytes()
        bins = samples[:whole].reshape(-1, self._bin_frames)
        self._lows.append(bins.min(axis=1))
        self._highs.append(bins.max(axis=1))

    def outline(self) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """Times in seconds, the lowest and the highest sample (full scale is 1) around each; at most ``_COLUMNS``."""
        import numpy

        lows, highs = numpy.concatenate(self._lows) / 32768, numpy.concatenate(self._highs) / 32768
        step = max(1, -(-len(lows) // _COLUMNS))
        starts = numpy.arange(0, len(lows), step)
        times = (starts + step / 2) * self._bin_s
        return times, numpy.minimum.reduceat(lows, starts), numpy.maximum.reduceat(highs, starts)


class Picture:
    """Looks on while recordings are joined, and draws what it saw.

    Args:
        fmt: Of the whole sound; mono.
        timings: What the event log knows, from ``timings_of``.
    """

    def __init__(self, fmt: PcmFormat, timings: Mapping[str, Timing]) -> None:
        self._envelope = Envelope(fmt)
        self._timeline = Timeline(timings)

    def add(self, sound: Sound) -> None:
        """The next recording."""
        self._envelope.add(sound.placed.pcm)
        self._timeline.add(sound)

    def draw(self, title: str, subtitle: str, file: BinaryIO, kind: str) -> None:
        """Draw it into ``file``.

        Args:
            title: The first line above.
            subtitle: The second one, smaller.
            file: Where to.
            kind: One of ``KINDS``, in any letter case.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        stretches = self._timeline.stretches
        lanes = [lane for lane in _LANES if any(stretch.kind == lane for stretch in stretches)]
        with_waits = any(stretch.ttfa_ms is not None for stretch in stretches)
        heights = [_LANE_IN * len(lanes)] + [_WAITS_IN] * with_waits
        figure = Figure((_WIDTH_IN, sum(heights) + _FRAME_IN), dpi=_DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        _draw_lanes(axes[0], lanes, stretches, self._envelope)
        if with_waits:
            _draw_waits(axes[1], stretches)
        _draw_frame(axes, stretches)
        axes[0].set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=24)
        gaps = sum(len(stretch.gaps) + stretch.unplaced_gaps for stretch in stretches)
        if gaps:
            subtitle += f" · {gaps} gap{'s' if gaps > 1 else ''}"
        axes[0].annotate(
            subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=_FAINT
        )
        figure.savefig(file, format=kind.lower().lstrip("."))


def _draw_lanes(axes: Axes, lanes: Sequence[str], stretches: Sequence[Stretch], envelope: Envelope) -> None:
    times, lows, highs = envelope.outline()
    scale = 0.42 / max(1e-3, float(max(highs.max(), -lows.min())))
    for row, lane in enumerate(reversed(lanes)):
        name, colour = _LANES[lane]
        own = [stretch for stretch in stretches if stretch.kind == lane]
        axes.axhline(row, color=colour, linewidth=0.6, alpha=0.35)
        for stretch in own:
            axes.axvspan(
                stretch.start_s,
                stretch.end_s,
                *((row + 0.04) / len(lanes), (row + 0.96) / len(lanes)),
                color=colour,
                alpha=0.10,
                linewidth=0,
            )
            inside = (times >= stretch.start_s) & (times <= stretch.end_s)
            axes.fill_between(
                times[inside], row + lows[inside] * scale, row + highs[inside] * scale, color=colour, linewidth=0.4
            )
        _draw_marks(axes, row, own, stretches[-1].end_s)
    axes.set_ylim(-0.5, len(lanes) - 0.5)
    axes.set_yticks(range(len(lanes)), [_LANES[lane][0] for lane in reversed(lanes)])
    for label, lane in zip(axes.get_yticklabels(), reversed(lanes), strict=True):
        label.set(color=_LANES[lane][1], fontweight="bold", fontsize=10)


def _draw_marks(axes: Axes, row: int, stretches: Sequence[Stretch], length_s: float) -> None:
    """Gaps, and ends that came too early."""
    gaps = [gap for stretch in stretches for gap in stretch.gaps]
    for (at_s, gap_s), has_room in zip(gaps, _room([at_s for at_s, _ in gaps], length_s), strict=True):
        axes.plot([at_s, at_s], [row - 0.44, row + 0.40], color=_ALARM, linewidth=1.4)
        if has_room and gap_s:
            axes.annotate(
                f"{gap_s * 1000:.0f} ms",
                (at_s, row + 0.40),
                (3, -2),
                textcoords="offset points",
                color=_ALARM,
                fontsize=8,
                va="top",
                bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )
    ends = [stretch.end_s for stretch in stretches if stretch.cut_short]
    axes.plot(ends, [row] * len(ends), "X", color=_INK, markersize=9, markeredgecolor="white", zorder=5)


def _draw_waits(axes: Axes, stretches: Sequence[Stretch]) -> None:
    """A stem for each utterance: how long it took until it was heard."""
    length_s = stretches[-1].end_s
    waits = [(stretch.start_s, stretch.ttfa_ms) for stretch in stretches if stretch.ttfa_ms is not None]
    colour = _LANES["tts"][1]
    for (at_s, ttfa_ms), has_room in zip(waits, _room([at_s for at_s, _ in waits], length_s), strict=True):
        axes.plot([at_s, at_s], [0, ttfa_ms], color=colour, linewidth=1.6, alpha=0.7)
        axes.plot([at_s], [ttfa_ms], "o", color=colour, markersize=5)
        if has_room:
            axes.annotate(
                f"{ttfa_ms:.0f} ms",
                (at_s, ttfa_ms),
                (6, 0),
                textcoords="offset points",
                fontsize=8.5,
                color=_INK,
                va="center",
            )
    axes.set_ylim(0, 1.3 * max(1.0, *(ttfa_ms for _, ttfa_ms in waits)))
    axes.locator_params(axis="y", nbins=3)
    axes.set_ylabel("first sound\nafter (ms)", fontsize=9, color=_INK)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.6)


def _draw_frame(axes: Sequence[Axes], stretches: Sequence[Stretch]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    for each in axes:
        each.spines[["top", "right", "left"]].set_visible(False)
        each.spines["bottom"].set_visible(each is axes[-1])
        each.spines["bottom"].set_color(_FAINT)
        each.tick_params(axis="y", length=0, labelsize=10 if each is axes[0] else 8.5)
        each.tick_params(axis="x", color=_FAINT, labelcolor=_INK, labelsize=9)
    end_s = stretches[-1].end_s
    if len(axes) > 1:
        axes[0].tick_params(axis="x", length=0)
    axes[-1].set_xlim(-0.01 * end_s, 1.01 * end_s)
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds, end_s)))
    axes[-1].set_xlabel("time in the exported audio", fontsize=9, color=_INK)
    keys = []
    if any(stretch.gaps for stretch in stretches):
        keys.append(Line2D([], [], color=_ALARM, linewidth=1.4, label="gap in the sound"))
    if any(stretch.cut_short for stretch in stretches):
        keys.append(Line2D([], [], color=_INK, marker="X", markersize=7, linestyle="none", label="cut short"))
    if keys:
        axes[0].legend(
            handles=keys, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(keys), frameon=False, fontsize=9
        )


def _room(places_s: Sequence[float], length_s: float) -> list[bool]:
    """Whether a label fits between each place and the next, or the end."""
    following = [*places_s[1:], length_s]
    return [next_s - at_s > _LABEL_SHARE * length_s for at_s, next_s in zip(places_s, following, strict=False)]


def _clock(seconds: float, longest_s: float) -> str:
    """A mark of the axis, as fine as the axis is long."""
    if seconds < 0:
        return ""
    minutes, rest_s = divmod(seconds, 60)
    return f"{rest_s:g} s" if longest_s < 60 else f"{int(minutes)}:{rest_s:02.0f}"
