"""A conversation to read: as Markdown for people, as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from typing import Any

from voice_mcp.storage.conversation_log import Exchange

WHO = {"tts": "Agent", "stt": "You"}


def conversation_document(conversation_id: str, exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """The conversation as plain data, with the fields of the conversation log.

    Args:
        conversation_id: Which it is.
        exchanges: At least one, in order.
    """
    return {
        "conversation_id": conversation_id,
        "began": exchanges[0].timestamp.isoformat(),
        "project_path": _project(exchanges),
        "exchanges": [asdict(exchange) | {"timestamp": exchange.timestamp.isoformat()} for exchange in exchanges],
    }


def conversation_markdown(conversation_id: str, exchanges: Sequence[Exchange], zone: tzinfo | None = None) -> str:
    """The conversation as Markdown: a heading, and a block for everything that was said.

    What was said is quoted, so that headings and lists in it stay its own.

    Args:
        conversation_id: Which it is.
        exchanges: At least one, in order.
        zone: Whose clock to show; None for that of this place.
    """
    day = exchanges[0].timestamp.astimezone(zone)
    facts = [f"{day:%Y-%m-%d}", f"times in {day:%Z}"]
    if project := _project(exchanges):
        facts.append(f"project {_code(project)}")
    blocks = [f"# Conversation {_code(conversation_id)}", " · ".join(facts)]
    for exchange in exchanges:
        moment = exchange.timestamp.astimezone(zone)
        blocks += _exchange(exchange, moment, with_day=moment.date() != day.date())
        day = moment
    return "\n\n".join(blocks) + "\n"


def _exchange(exchange: Exchange, moment: datetime, *, with_day: bool) -> Iterator[str]:
    time = f"{moment:%Y-%m-%d %H:%M:%S}" if with_day else f"{moment:%H:%M:%S}"
    yield f"## {time} · {WHO[exchange.type]}"
    yield _quoted(exchange.text)
    metadata = exchange.metadata
    if exchange.type == "stt":
        if metadata.get("status") == "failed":
            yield f"It could not be transcribed{_reason(metadata)}."
        return
    if "heard" not in metadata and metadata.get("status") not in ("interrupted", "failed"):
        return
    what = ("Failed" if metadata.get("status") == "failed" else "Interrupted") + _reason(metadata)
    if heard := str(metadata.get("heard") or "").strip():
        yield f"{what}. What was heard of it:"
        yield _quoted(heard)
    else:
        yield f"{what} before a word was heard."


def _reason(metadata: Mapping[str, Any]) -> str:
    error = str(metadata.get("error") or "").strip().rstrip(".")
    return f" ({error})" if error else ""


def _project(exchanges: Sequence[Exchange]) -> str | None:
    return next((exchange.project_path for exchange in reversed(exchanges) if exchange.project_path), None)


def _quoted(text: str) -> str:
    lines = _printable(text).strip().splitlines() or ["(nothing)"]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _code(text: str) -> str:
    """As code, where no character means anything; of backticks there can be none in it."""
    return f"`{_printable(text).replace('`', '').replace(chr(10), ' ')}`"


def _printable(text: str) -> str:
    """Without what controls terminals; line ends stay, tabs too."""
    return "".join(char if char in "\n\t" or char.isprintable() else " " for char in text.replace("\r\n", "\n"))
