"""The event log: what happened, as one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from voice_mcp.events import Event
from voice_mcp.storage.daily import DailyFiles, utc_text
from voice_mcp.storage.journal import Journal

_WHAT = "The event log"


class EventLog:
    """An event sink that writes the files of ``DataRoot.event_files``, by the journal; never waits, never raises."""

    def __init__(self, files: DailyFiles, journal: Journal) -> None:
        self._files = files
        self._journal = journal

    def __call__(self, event: Event) -> None:
        record = {
            "timestamp": utc_text(event.timestamp),
            "event_type": event.event_type,
            "conversation_id": event.conversation_id,
            "utterance_id": event.utterance_id,
            "session_id": event.conversation_id,
            # A copy: it is written later, and may be somebody's dictionary that goes on changing.
            "data": dict(event.data),
        }
        self._journal.submit(partial(self._files.append, event.timestamp, record), _WHAT)


def read_events(files: DailyFiles, conversation_id: str | None = None) -> Iterator[dict[str, Any]]:
    """The lines of the event log, day by day in the order they were written; of one conversation or of all.

    Raises:
        StorageError: A file cannot be read.
    """
    return _of(conversation_id, files.read())


def follow_events(
    files: DailyFiles, wait: Callable[[], bool], conversation_id: str | None = None
) -> Iterator[dict[str, Any]]:
    """The lines that are added from now on.

    Args:
        files: From ``DataRoot.event_files``.
        wait: Called when nothing new is there; returns when it is time to look again, False to end.
        conversation_id: Of one conversation, or of all.
    """
    return _of(conversation_id, files.follow(wait))


def _of(conversation_id: str | None, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (record for record in records if conversation_id in (None, record.get("conversation_id")))
