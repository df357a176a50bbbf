"""The conversation log: what was said and heard, one JSON object a thing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from voice_mcp.storage.daily import DailyFiles, utc_text
from voice_mcp.storage.journal import Journal

logger = logging.getLogger(__name__)
_WHAT = "The conversation log"

ExchangeType = Literal["tts", "stt"]
"""Said, or heard."""

EXCHANGE_VERSION = 1
"""Of the shape of a line; a reader skips nothing for it, a field may only be added."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One thing said or heard."""

    timestamp: datetime
    """When it began; UTC."""
    conversation_id: str
    utterance_id: str
    type: ExchangeType
    text: str
    audio_file: str | None = None
    """From the data root, with forward slashes (``DataRoot.relative``); None when no audio was kept."""
    duration_ms: int | None = None
    """Milliseconds of audio that were played or captured."""
    project_path: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """engine, model, voice, ttfa_ms, underruns, status, ..."""
    version: int = EXCHANGE_VERSION


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """What the conversation log holds of one conversation."""

    id: str
    first: datetime
    last: datetime
    count: int
    """Things said and heard."""
    spoken_s: float
    """Seconds of speech that were played."""
    project_path: str | None
    """The last one that was named."""


class ConversationLog:
    """Writes, by the journal, and reads the files of ``DataRoot.exchange_files``."""

    def __init__(self, files: DailyFiles, journal: Journal) -> None:
        self._files = files
        self._journal = journal

    def append(self, exchange: Exchange) -> None:
        """Hand one exchange to the journal; never waits, never raises."""
        record = {
            "version": exchange.version,
            "timestamp": utc_text(exchange.timestamp),
            "conversation_id": exchange.conversation_id,
            "utterance_id": exchange.utterance_id,
            "type": exchange.type,
            "text": exchange.text,
            "audio_file": exchange.audio_file,
            "duration_ms": exchange.duration_ms,
            "project_path": exchange.project_path,
            "metadata": dict(exchange.metadata),
        }
        self._journal.submit(partial(self._files.append, exchange.timestamp, record), _WHAT)

    def exchanges(self, conversation_id: str | None = None) -> Iterator[Exchange]:
        """What was said and heard, in the order it was written; of one conversation or of all.

        A line about something that has a line already, a recording that was transcribed again, stands in its place.
        Lines without the fields an exchange must have are skipped; how many is logged at the end.

        Raises:
            StorageError: A file cannot be read.
        """
        latest: dict[object, Exchange] = {}
        for exchange in self._lines(conversation_id):
            latest[_identity(exchange) or len(latest)] = exchange
        yield from latest.values()

    def _lines(self, conversation_id: str | None = None) -> Iterator[Exchange]:
        strange = 0
        for record in self._files.read():
            exchange = _exchange(record)
            if exchange is None:
                strange += 1
            elif conversation_id in (None, exchange.conversation_id):
                yield exchange
        if strange:
            logger.warning("%d line(s) of the conversation log are no exchanges and were skipped.", strange)

    def conversations(self) -> list[ConversationSummary]:
        """Every conversation of the log, in the order of their first exchanges.

        Raises:
            StorageError: A file cannot be read.
        """
        by_id: dict[str, ConversationSummary] = {}
        known: set[object] = set()
        for exchange in self._lines():
            identity = _identity(exchange)
            if identity in known:
                continue
            if identity is not None:
                known.add(identity)
            by_id[exchange.conversation_id] = _with(by_id.get(exchange.conversation_id), exchange)
        return sorted(by_id.values(), key=lambda summary: summary.first)


def _identity(exchange: Exchange) -> object:
    """What one thing that was said or heard is known by; None where other writers gave it no name."""
    return (exchange.conversation_id, exchange.utterance_id, exchange.type) if exchange.utterance_id else None


def _with(summary: ConversationSummary | None, exchange: Exchange) -> ConversationSummary:
    spoken_s = (exchange.duration_ms or 0) / 1000 if exchange.type == "tts" else 0.0
    moment = exchange.timestamp
    if summary is None:
        return ConversationSummary(exchange.conversation_id, moment, moment, 1, spoken_s, exchange.project_path)
    return ConversationSummary(
        id=summary.id,
        # Several processes write in turn: the lines are nearly, not strictly, in order.
        first=min(summary.first, moment),
        last=max(summary.last, moment),
        count=summary.count + 1,
        spoken_s=summary.spoken_s + spoken_s,
        project_path=exchange.project_path or summary.project_path,
    )


def _exchange(record: Mapping[str, Any]) -> Exchange | None:
    """A line as an exchange. Fields may be missing that other versions and other writers of the files do not have."""
    kind = record.get("type")
    if kind not in ("tts", "stt"):
        return None
    try:
        return Exchange(
            timestamp=datetime.fromisoformat(record["timestamp"]).astimezone(UTC),
            conversation_id=str(record["conversation_id"]),
            utterance_id=_text(record.get("utterance_id")) or "",
            type=kind,
            text=str(record["text"]),
            audio_file=_text(record.get("audio_file")),
            duration_ms=round(record.get("duration_ms") or 0) or None,
            project_path=_text(record.get("project_path")),
            metadata=dict(record.get("metadata") or {}),
            version=int(record.get("version") or 0),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
