"""A bar for texts that take a while, on a terminal; nothing elsewhere. It goes to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voice_mcp.library.rendition import Progress

LONG_CHARS = 600
"""From here on a text takes most of a minute to say, and is worth a bar."""

Watch = Callable[[Progress], None]


def _nobody(progress: Progress) -> None:
    """Nobody watches."""


@contextmanager
def watching(chars: int, wanted: bool | Watch | None) -> Iterator[Watch]:
    """Who is told how far it is.

    Args:
        chars: How long the text is.
        wanted: A bar, or nothing, or a function of the caller's; None for a bar where the text is long.
    """
    if callable(wanted):
        yield wanted
        return
    if wanted is False or (wanted is None and chars < LONG_CHARS) or not sys.stderr.isatty():
        yield _nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[made]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("speech", total=1.0, made="")

        def update(progress: Progress) -> None:
            bar.update(task, completed=progress.share, made=f"{progress.made_s:.1f} s of sound")

        yield update
