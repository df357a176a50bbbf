"""What is shown of a conversation while it goes on: what is said, that the microphone hears, what was understood."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from voice_mcp.cli.captions import MOST_LINES, REFRESHES_PER_SECOND, Captions
from voice_mcp.cli.output import visible
from voice_mcp.core.conversing import AWAITS_KEY, LISTENS, Conversing
from voice_mcp.core.listening import DEAD_FILE, DEAD_MICROPHONE, DEAD_S, IS_HEARD, UNDERSTANDS, dead
from voice_mcp.types import CaptureCondition

METER_CELLS = 24
QUIETEST_DB = -60.0
"""Where the meter begins: a quiet room is below it."""
LOOK_EVERY_S = 0.08

HEADLINES = {
    LISTENS: ("○", "Listening", "cyan"),
    IS_HEARD: ("●", "You are heard", "green"),
    UNDERSTANDS: ("…", "Understanding", "cyan"),
    AWAITS_KEY: ("○", "Your turn", "cyan"),
}
HINTS = {
    (LISTENS, False): "space or Enter: done · Esc: stop",
    (IS_HEARD, False): "space or Enter: done · Esc: stop",
    (AWAITS_KEY, True): "hold space while you speak, or tap it to begin and to end · Esc: stop",
    (LISTENS, True): "let go of space, or tap it: done · Esc: stop",
    (IS_HEARD, True): "let go of space, or tap it: done · Esc: stop",
}
SPEAKS_HINT = {False: "space: cut it short · Esc: stop", True: "space: cut it short and speak · Esc: stop"}
HINT = "Esc: stop"


class TurnView:
    """Told everything in the event loop's thread; a thread of rich's draws it, as with ``Captions``.

    Args:
        has_keys: Whether keys are taken, and worth a hint.
        by_hand: Whether turns begin and end by keys.
    """

    def __init__(self, *, has_keys: bool, by_hand: bool) -> None:
        self._has_keys = has_keys
        self._by_hand = by_hand
        self._captions = Captions()
        self._conversing: Conversing | None = None
        self._stage = ""
        self._words = ""
        self._was_heard = False
        self._condition: CaptureCondition | None = None

    def update(self, position_s: float, total_s: float | None, text: str) -> None:
        """A ``ProgressListener``: a caption, the name of what goes on, or what was understood so far."""
        if self._speaks:
            self._captions.update(position_s, total_s, text)
        elif text in (DEAD_FILE, DEAD_MICROPHONE):
            return  # shown for as long as it lasts, and not until something else is told
        elif text in HEADLINES:
            self._stage = text
            self._was_heard |= text == IS_HEARD
            self._words = self._words if text in (IS_HEARD, UNDERSTANDS) else ""
        elif self._stage in (IS_HEARD, UNDERSTANDS):
            self._words = text
        else:
            self._stage = text

    @asynccontextmanager
    async def shown_on(self, console: Console, conversing: Conversing) -> AsyncIterator[None]:
        """Show it for the length of the block; afterwards it is gone."""
        self._conversing = conversing
        looking = asyncio.create_task(self._look(conversing), name="level-meter")
        try:
            with Live(
                self,
                console=console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
            ):
                console.show_cursor(True)  # rich hides it, and whoever is stopped or killed cannot show it
                yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def _look(self, conversing: Conversing) -> None:
        """Ask how the microphone is doing: here, for the thread that draws must not."""
        while True:
            self._condition = conversing.condition
            await asyncio.sleep(LOOK_EVERY_S)

    @property
    def _speaks(self) -> bool:
        return self._conversing is not None and self._conversing.is_speaking

    # --- drawing -----------------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        stage, condition = self._stage, self._condition
        if self._speaks or not stage:
            yield from self._captions.__rich_console__(console, options)
        else:
            yield _headline(stage, condition)
            if condition is not None and condition.zeros_s >= DEAD_S and not self._was_heard:
                yield Text(dead(condition), style="red")
            if words := visible(self._words).strip():
                lines = Text(words, style="italic").wrap(console, options.max_width - 2)
                yield Text("\n", style="italic").join(lines[-MOST_LINES:])
        if self._has_keys:
            said = SPEAKS_HINT[self._by_hand] if self._speaks else HINTS.get((stage, self._by_hand), HINT)
            yield Text(said, style="dim", overflow="ellipsis", no_wrap=True)


def _headline(stage: str, condition: CaptureCondition | None) -> Table:
    sign, word, style = HEADLINES.get(stage, ("…", visible(stage).capitalize(), "cyan"))
    line = Table.grid(padding=(0, 2))
    line.add_row(
        Text(f"{sign} {word}", style=f"bold {style}"), _meter(condition, style) if condition is not None else ""
    )
    return line


def _meter(condition: CaptureCondition, style: str) -> ProgressBar:
    level_db = 20 * math.log10(condition.peak) if condition.peak else QUIETEST_DB
    shown = max(0.0, min(level_db, 0.0) - QUIETEST_DB)
    return ProgressBar(
        total=-QUIETEST_DB, completed=shown, width=METER_CELLS, complete_style=style, finished_style="red"
    )
