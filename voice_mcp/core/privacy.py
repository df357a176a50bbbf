"""What can be said of what left this machine, and of what is kept, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voice_mcp.core.departures import Departures, OpenMicrophone, Sent, Traffic, departures
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.inventory import Stock, take_stock
from voice_mcp.storage.paths import DataRoot

NEWEST = 50
"""So many utterances, and openings of the microphone, are told one by one; the sums are of all."""


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What of the settings belongs to the picture."""

    offline: bool
    event_log: bool
    conversation_log: bool
    keeps_audio: bool
    keeps_transcripts: bool
    retention_days: int


def privacy_record(
    root: DataRoot, event_files: DailyFiles, settings: PrivacySettings, newest: int = NEWEST
) -> dict[str, Any]:
    """All of it. Reads files: not for the event loop's thread.

    Raises:
        StorageError: One cannot be read.
    """
    gone: Departures = departures(event_files.read())
    seconds = [one.seconds for one in gone.microphone if one.seconds is not None]
    return {
        "offline": settings.offline,
        "hosts": [_traffic(traffic) for traffic in gone.by_host()],
        "utterances": [_sent(sent) for sent in gone.sent[len(gone.sent) - newest :]] if newest else [],
        "microphone": {
            "opened": len(gone.microphone),
            "seconds": round(sum(seconds), 1),
            "times": [_opening(one) for one in gone.microphone[-newest:]] if newest else [],
        },
        "disk": [_stock(stock, settings.retention_days) for stock in take_stock(root, event_files)],
        "kept": {
            "event_log": settings.event_log,
            "conversation_log": settings.conversation_log,
            "audio": settings.keeps_audio,
            "transcripts": settings.keeps_transcripts,
            "retention_days": settings.retention_days,
        },
    }


def _traffic(traffic: Traffic) -> dict[str, Any]:
    return {
        "host": traffic.host,
        "beyond_this_machine": traffic.beyond,
        "requests": traffic.requests,
        "text_chars": traffic.text_chars,
        "audio_up_bytes": traffic.audio_up_bytes,
        "audio_up_s": round(traffic.audio_up_s, 1),
        "audio_down_bytes": traffic.audio_down_bytes,
    }


def _sent(sent: Sent) -> dict[str, Any]:
    return {
        "timestamp": sent.timestamp.isoformat(),
        "conversation_id": sent.conversation_id,
        "utterance_id": sent.utterance_id or None,
        "hosts": [_traffic(traffic) for traffic in sent.hosts.values()],
    }


def _opening(one: OpenMicrophone) -> dict[str, Any]:
    return {
        "conversation_id": one.conversation_id,
        "opened": one.opened.isoformat(),
        "closed": _text(one.closed),
        "seconds": round(one.seconds, 1) if one.seconds is not None else None,
    }


def _stock(stock: Stock, retention_days: int) -> dict[str, Any]:
    return {
        "what": stock.what,
        "folder": str(stock.folder),
        "files": stock.files,
        "bytes": stock.size_bytes,
        "oldest": _text(stock.oldest),
        "oldest_is_deleted": _text(stock.gone_at(retention_days)),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
