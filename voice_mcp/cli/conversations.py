"""`voice-mcp conversations`: what was said and heard."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer
from rich.padding import Padding
from rich.text import Text

from voice_mcp.cli.captions import clock_text
from voice_mcp.cli.export import export_conversation
from voice_mcp.cli.house import conversation_log, read_settings
from voice_mcp.cli.output import (
    AsJson,
    local_time,
    minutes,
    print_entry,
    print_json,
    print_table,
    standard_output,
    visible,
    warn,
)
from voice_mcp.cli.retry import retry_conversation
from voice_mcp.cli.short_id import ConversationId, not_on_record, whole_id
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.rehearing import FAILED
from voice_mcp.core.status import conversation_record
from voice_mcp.storage.conversation_log import ConversationSummary

WHO = {"tts": ("agent", "bold cyan"), "stt": ("user", "bold magenta")}


def conversations() -> typer.Typer:
    """The family of commands."""
    family = typer.Typer(help="Show what was said and heard.", no_args_is_help=True)
    family.command("list")(list_conversations)
    family.command("show")(show_conversation)
    family.command("export")(export_conversation)
    family.command("retry")(retry_conversation)
    return family


def list_conversations(as_json: AsJson = False) -> None:
    """List every conversation on record, the newest last."""
    exchanges, root = conversation_log(read_settings())
    summaries = exchanges.conversations()
    if as_json:
        print_json({"conversations": [_summary_record(summary) for summary in summaries]})
        return
    if not summaries:
        warn(f"There is no conversation on record in {root.path}.")
        return
    rows = [
        (
            summary.id,
            minutes(local_time(summary.first)),
            str(summary.count),
            clock_text(summary.spoken_s),
            summary.project_path or "",
        )
        for summary in summaries
    ]
    if not standard_output().is_terminal:
        print_table(("CONVERSATION", "BEGAN", "EXCHANGES", "SPOKEN", "PROJECT"), rows)
        return
    for name, began, count, spoken, project in rows:
        exchanges_text = f"{count} exchange{'s' if count != '1' else ''}"
        print_entry(name, (began, exchanges_text, f"{spoken} of speech"), project)


def show_conversation(conversation_id: ConversationId, as_json: AsJson = False) -> None:
    """Show one conversation in order: when, who, what, how long, and where its audio is."""
    check_conversation_id(conversation_id)
    exchanges, root = conversation_log(read_settings())
    conversation_id = whole_id(conversation_id, (summary.id for summary in exchanges.conversations()))
    record = conversation_record(exchanges, root, conversation_id)
    if not record["exchanges"]:
        raise not_on_record(conversation_id)
    if as_json:
        print_json(record)
        return
    for exchange in record["exchanges"]:
        _print_exchange(exchange, conversation_id)


def _summary_record(summary: ConversationSummary) -> dict[str, Any]:
    moments = {"first": summary.first.isoformat(), "last": summary.last.isoformat()}
    return asdict(summary) | moments


def _print_exchange(exchange: dict[str, Any], conversation_id: str) -> None:
    """A line with the facts, the text below it."""
    console = standard_output()
    moment = local_time(exchange["timestamp"])
    who, style = WHO[exchange["type"]]
    line = Text("?" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}", style="dim")
    line.append(f"  {who}", style=f"not dim {style}")
    line.append(f"  {visible(' · '.join(_facts(exchange)))}")
    console.print(line)
    for paragraph in visible(exchange["text"] or _instead_of_words(exchange, conversation_id)).splitlines():
        console.print(Padding(Text(paragraph), (0, 0, 0, 4)) if console.is_terminal else f"    {paragraph}")
    if exchange["audio_file"]:
        console.print(Text(f"    {visible(exchange['audio_file'])}", style="dim"), soft_wrap=True)


def _instead_of_words(exchange: dict[str, Any], conversation_id: str) -> str:
    """What to show of something without a text: of what was heard, why it has none."""
    if exchange.get("status") != FAILED:
        return "(nothing was said)" if exchange["type"] == "stt" else ""
    why = str(exchange.get("error") or "no recogniser could").rstrip(".")
    return f"(not transcribed: {why}. `voice-mcp conversations retry {conversation_id}` tries again)"


def _facts(exchange: dict[str, Any]) -> list[str]:
    facts = [] if exchange["duration_ms"] is None else [f"{exchange['duration_ms'] / 1000:.1f} s"]
    engine, voice, language, status = (exchange.get(name) for name in ("engine", "voice", "language", "status"))
    if engine:
        facts.append(f"{engine}, voice {voice}" if voice else str(engine))
    if language:
        facts.append(str(language))
    if status and status != "completed":
        facts.append(str(status))
    return facts
