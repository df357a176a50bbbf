"""`voice-mcp conversations retry`: what was recorded and could not be transcribed is tried again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.text import Text

from voice_mcp.app import App
from voice_mcp.cli.export_record import Complaint, Take, read_take
from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.output import AsJson, local_time, print_json, standard_output, visible, warn
from voice_mcp.cli.short_id import ConversationId, not_on_record, whole_id
from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.rehearing import Rehearing, not_understood
from voice_mcp.errors import StorageError, VoiceError
from voice_mcp.settings import Settings
from voice_mcp.storage.conversation_log import Exchange
from voice_mcp.types import LISTENING_FORMAT

RECORD_S = 10.0
"""How long the new lines may take to be written."""


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    conversation_id: str
    understood: list[Exchange] = field(default_factory=list)
    left: list[tuple[Exchange, str]] = field(default_factory=list)
    """What still waits, and why."""
    failure: VoiceError | None = None
    """Why the rest was not even tried."""


def retry_conversation(conversation_id: ConversationId, as_json: AsJson = False) -> None:
    """Transcribe what could not be transcribed when it was said.

    The words take their place in the conversation. Exit code 1 when something is still without.
    """
    check_conversation_id(conversation_id)
    outcome = asyncio.run(_retry(read_settings(), conversation_id))
    if as_json:
        print_json(_record(outcome))
    else:
        _print(outcome)
    if outcome.failure is not None:
        raise outcome.failure
    if outcome.left:
        raise typer.Exit(1)


async def _retry(settings: Settings, conversation_id: str) -> Outcome:
    """Transcribe one after the other, up to the first that nobody can.

    Raises:
        InvalidInput: There is no such conversation.
    """
    async with house(settings) as app:
        conversation_id, exchanges = await asyncio.to_thread(_find, app, conversation_id)
        rehearing = Rehearing(app.transcriber, app.archive, app.conversations)
        outcome = Outcome(conversation_id)
        waiting = not_understood(exchanges)
        for number, exchange in enumerate(waiting):
            problems: list[str] = []
            frames = await asyncio.to_thread(_frames, app, exchange, problems.append)
            if frames is None:
                outcome.left.append((exchange, " ".join(problems)))
                continue
            try:
                outcome.understood.append(await rehearing.hear(exchange, frames))
            except VoiceError as exc:
                outcome.failure = exc
                outcome.left += [(each, exc.message) for each in waiting[number:]]
                break
        await asyncio.to_thread(app.journal.flush, RECORD_S)
        for failure in app.journal.failures():
            warn(failure.message)
    return outcome


def _find(app: App, given: str) -> tuple[str, list[Exchange]]:
    """The whole name of a conversation, and what is on record of it."""
    conversation_id = whole_id(given, (summary.id for summary in app.conversations.conversations()))
    exchanges = list(app.conversations.exchanges(conversation_id))
    if not exchanges:
        raise not_on_record(conversation_id)
    return conversation_id, exchanges


def _frames(app: App, exchange: Exchange, complain: Complaint) -> bytes | None:
    """What was recorded, in ``LISTENING_FORMAT``; None when it is not to be had."""
    if exchange.audio_file is None:
        complain("No recording was kept.")
        return None
    try:
        path = app.root.locate(exchange.audio_file)
    except StorageError as exc:
        complain(exc.message)
        return None
    recording = read_take(Take(path, exchange.type, exchange), complain)
    if recording is None:
        return None
    pcm, fmt = recording
    converter = Converter(fmt, LISTENING_FORMAT)
    return converter.convert(pcm) + converter.flush()


def _record(outcome: Outcome) -> dict[str, Any]:
    understood = [
        {
            "utterance_id": exchange.utterance_id,
            "timestamp": exchange.timestamp.isoformat(),
            "text": exchange.text,
            **{name: exchange.metadata.get(name) for name in ("status", "engine", "language")},
        }
        for exchange in outcome.understood
    ]
    left = [{"utterance_id": exchange.utterance_id, "problem": problem} for exchange, problem in outcome.left]
    return {"conversation_id": outcome.conversation_id, "transcribed": understood, "left": left}


def _print(outcome: Outcome) -> None:
    """The words on standard output, what is still without on standard error."""
    if not outcome.understood and not outcome.left:
        warn(f"Nothing in {outcome.conversation_id} waits to be transcribed.")
    for exchange in outcome.understood:
        line = Text(_moment(exchange), style="dim")
        line.append(f"  {visible(exchange.text) or '(nothing was said)'}", style="not dim")
        standard_output().print(line)
    if outcome.failure is None:
        for exchange, problem in outcome.left:
            warn(f"{_moment(exchange)} is still without words. {problem}")


def _moment(exchange: Exchange) -> str:
    moment = local_time(exchange.timestamp)
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
