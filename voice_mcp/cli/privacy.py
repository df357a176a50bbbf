"""`voice-mcp privacy`: what left this machine, when the microphone was open, what is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from voice_mcp.app import privacy_of
from voice_mcp.cli.house import read_settings
from voice_mcp.cli.numbers import size_text
from voice_mcp.cli.output import AsJson, local_time, minutes, print_entry, print_json, print_table, standard_output
from voice_mcp.cli.short_id import short_id

Lines = Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last utterances.")]
SHOWN = 10


def privacy(lines: Lines = SHOWN, as_json: AsJson = False) -> None:
    """Show what went to which host, when the microphone was open, and what is on disk and for how long."""
    record = privacy_of(read_settings(), lines)
    if as_json:
        print_json(record)
        return
    _print_hosts(record)
    _print_utterances(record)
    _print_microphone(record["microphone"])
    _print_disk(record)


def _print_hosts(record: Mapping[str, Any]) -> None:
    beyond = [host for host in record["hosts"] if host["beyond_this_machine"]]
    _heading("What left this machine")
    if record["offline"]:
        _say("VOICEMODE_OFFLINE=true: nothing can leave it now.")
    if not record["kept"]["event_log"]:
        _say("VOICEMODE_EVENT_LOG_ENABLED=false: nobody keeps count.")
    if not beyond:
        _say("Nothing, as far as the event log reaches back.")
    if record["hosts"]:
        _print_traffic(
            ("HOST", "WHERE"),
            [
                (str(host["host"]), "another machine" if host["beyond_this_machine"] else "this machine")
                for host in record["hosts"]
            ],
            record["hosts"],
        )


def _print_utterances(record: Mapping[str, Any]) -> None:
    named = short_id if standard_output().is_terminal else str
    sent = [(one, host) for one in record["utterances"] for host in one["hosts"]]
    if sent:
        _heading("The last utterances")
        rows = [
            (minutes(local_time(one["timestamp"])), named(one["conversation_id"]), host["host"]) for one, host in sent
        ]
        _print_traffic(("WHEN", "CONVERSATION", "HOST"), rows, [host for _, host in sent])


def _print_traffic(
    headings: Sequence[str], rows: Sequence[tuple[str, ...]], hosts: Sequence[Mapping[str, Any]]
) -> None:
    """What went to hosts and came from them: a column for each kind in a pipe, an entry for each row for people."""
    if not standard_output().is_terminal:
        kinds = ("REQUESTS", "TEXT SENT", "SOUND SENT", "SOUND RECEIVED")
        print_table((*headings, *kinds), [(*row, *_amounts(host)) for row, host in zip(rows, hosts, strict=True)])
        return
    for (name, *more), host in zip(rows, hosts, strict=True):
        print_entry(name, (*more, _amounts_text(host)))


def _print_microphone(record: Mapping[str, Any]) -> None:
    _heading("The microphone")
    if not record["opened"]:
        _say("It was never open, as far as the event log reaches back.")
        return
    _say(f"Opened {record['opened']} times, {record['seconds']:.0f} s in all.")
    rows = [
        (
            minutes(local_time(one["opened"])),
            f"{one['seconds']:.1f} s" if one["seconds"] is not None else "its end is not on record",
            one["conversation_id"],
        )
        for one in record["times"]
    ]
    if rows:
        headings = ("OPENED", "FOR", "CONVERSATION")
        print_table(headings, rows, rigid=headings)


def _print_disk(record: Mapping[str, Any]) -> None:
    _heading("On disk")
    days = record["kept"]["retention_days"]
    rows = [
        (
            stock["what"],
            str(stock["files"]),
            size_text(stock["bytes"]),
            minutes(local_time(stock["oldest"])) if stock["oldest"] else "",
            minutes(local_time(stock["oldest_is_deleted"])) if stock["oldest_is_deleted"] else "",
            stock["folder"],
        )
        for stock in record["disk"]
    ]
    if standard_output().is_terminal:
        for what, files, size, oldest, deleted, folder in rows:
            since = f"since {oldest.partition(' ')[0]}" if oldest else ""
            until = f"deleted from {deleted.partition(' ')[0]}" if deleted else ""
            print_entry(what, (f"{files} file{'s' if files != '1' else ''}", size, since, until), folder)
    else:
        print_table(("WHAT", "FILES", "SIZE", "OLDEST", "DELETED FROM", "FOLDER"), rows)
    kept = f"for {days} days (VOICEMODE_RETENTION_DAYS)" if days else "for ever (VOICEMODE_RETENTION_DAYS=0)"
    _say(f"Kept {kept}; `voice-mcp forget` deletes it sooner.")


def _amounts(host: Mapping[str, Any]) -> tuple[str, str, str, str]:
    chars = host["text_chars"]
    return (
        str(host["requests"]),
        f"{chars:,} characters" if chars else "",
        _sound_sent(host),
        size_text(host["audio_down_bytes"]) if host["audio_down_bytes"] else "",
    )


def _amounts_text(host: Mapping[str, Any]) -> str:
    """The same in half a sentence."""
    requests, text, sound, received = _amounts(host)
    facts = (
        f"{requests} request{'s' if requests != '1' else ''}",
        text and f"{text} sent",
        sound and f"{sound} of sound sent",
        received and f"{received} received",
    )
    return " · ".join(filter(None, facts))


def _sound_sent(host: Mapping[str, Any]) -> str:
    facts = [f"{host['audio_up_s']:.1f} s"] if host["audio_up_s"] else []
    facts += [size_text(host["audio_up_bytes"])] if host["audio_up_bytes"] else []
    return ", ".join(facts)


def _heading(text: str) -> None:
    console = standard_output()
    console.print(Text(text, style="bold"))


def _say(sentence: str) -> None:
    standard_output().print(sentence)
