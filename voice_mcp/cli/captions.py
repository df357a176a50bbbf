"""Live captions: the sentence that is being spoken, and how far the voice has come."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.output import visible

REFRESHES_PER_SECOND = 12
MOST_LINES = 3


class Captions:
    """What is shown while something is spoken.

    The voice only leaves its position here; a thread of rich's draws it, so that a terminal that takes its time
    (Ctrl+S) never holds up the sound.
    """

    def __init__(self) -> None:
        self._now: tuple[float, float | None, str] | None = None

    def update(self, position_s: float, total_s: float | None, text: str) -> None:
        """A ``ProgressListener``."""
        self._now = (position_s, total_s, text)

    def shown_on(self, console: Console) -> Live:
        """Show the captions for the length of a ``with`` block; afterwards they are gone."""
        return Live(self, console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._now is None:
            yield Text("…", style="dim")
            return
        position_s, total_s, text = self._now
        # Two columns to spare, and as many lines as a caption has in the cinema.
        lines = Text(visible(text).strip()).wrap(console, options.max_width - 2)
        yield Text("\n").join(lines[:MOST_LINES])
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        total = None if total_s is None else max(total_s, position_s, 0.1)
        known = clock_text(position_s) if total is None else f"{clock_text(position_s)} / {clock_text(total)}"
        bar.add_row(_bar(total, position_s), Text(known, style="dim"))
        yield bar


def _bar(total_s: float | None, position_s: float) -> ProgressBar:
    return ProgressBar(total=total_s, completed=position_s, complete_style="cyan", finished_style="cyan")


def clock_text(seconds: float) -> str:
    """Seconds as ``m:ss``, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
