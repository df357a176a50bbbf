"""One file a day. The day is the UTC date of the line's own timestamp, wherever the machine stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from voice_mcp.storage.files import list_folder, make_folder, refuse_way_out
from voice_mcp.storage.jsonl import append_jsonl, follow_jsonl, read_jsonl


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC, always with six decimals: ``2026-01-31T09:30:00.000000+00:00``. Sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class DailyFiles:
    """The files ``<folder>/<prefix>_YYYY-MM-DD.jsonl``."""

    folder: Path
    prefix: str
    root: Path
    """Where ``folder`` lies in, or ``folder`` itself: no link is followed out of it."""

    def path(self, day: date) -> Path:
        """The file of one day."""
        return self.folder / f"{self.prefix}_{day.isoformat()}.jsonl"

    def days(self) -> list[tuple[date, Path]]:
        """The days that have a file, the oldest first.

        Raises:
            StorageError: The folder cannot be listed, or lies elsewhere.
        """
        refuse_way_out(self.root, self.folder)
        name = re.compile(re.escape(self.prefix) + r"_(\d{4}-\d\d-\d\d)\.jsonl", re.ASCII)
        found = [(name.fullmatch(path.name), path) for path in list_folder(self.folder)]
        dated = [(_date(match[1]), path) for match, path in found if match]
        return sorted((day, path) for day, path in dated if day is not None)

    def parts(self) -> list[Path]:
        """Beginnings of files that take the place of others, which somebody is writing or has left."""
        name = re.compile(re.escape(self.prefix) + r"_\d{4}-\d\d-\d\d\.jsonl\.[0-9a-f]{8}\.part", re.ASCII)
        return [path for path in list_folder(self.folder) if name.fullmatch(path.name)]

    def append(self, moment: datetime, record: Mapping[str, Any]) -> None:
        """Add a line to the file of ``moment``.

        Raises:
            StorageError: It could not be written.
        """
        make_folder(self.root, self.folder)
        append_jsonl(self.path(moment.astimezone(UTC).date()), record)

    def read(self) -> Iterator[dict[str, Any]]:
        """Every line of every day, in order.

        Raises:
            StorageError: A file cannot be read.
        """
        for _, path in self.days():
            yield from read_jsonl(path)

    def follow(self, wait: Callable[[], bool], *, from_start: bool = False) -> Iterator[dict[str, Any]]:
        """Lines as they are added, also after midnight; see ``follow_jsonl``."""
        return follow_jsonl(lambda: [path for _, path in self.days()], wait, from_start=from_start)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:  # the 31st of February
        return None
