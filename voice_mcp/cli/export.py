"""`voice-mcp conversations export`: a conversation as one audio file, as text or as data, and as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from voice_mcp.cli.captions import clock_text
from voice_mcp.cli.export_record import ConversationRecord, Sound, joined, read_record
from voice_mcp.cli.export_target import STANDARD_OUTPUT, check_target, new_file, put_out
from voice_mcp.cli.house import conversation_log, read_settings
from voice_mcp.cli.output import json_text, local_time, minutes, standard_error, standard_output, visible, warn
from voice_mcp.cli.short_id import ConversationId, not_on_record, whole_id
from voice_mcp.cli.timeline import timings_of
from voice_mcp.cli.timeline_plot import Picture, check_plot
from voice_mcp.codecs.writer import StreamingAudioWriter
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.joining import PAUSE_S, Joiner
from voice_mcp.core.transcript import conversation_document, conversation_markdown
from voice_mcp.errors import InvalidInput, StorageError
from voice_mcp.settings import Settings
from voice_mcp.storage.event_log import read_events
from voice_mcp.storage.kept import conversation_folders
from voice_mcp.types import PcmFormat

RATE_HZ = 24_000
"""What most voices have, and all that speech needs."""


class ExportFormat(StrEnum):
    """What a conversation can become."""

    MP3 = "mp3"
    WAV = "wav"
    FLAC = "flac"
    OPUS = "opus"
    OGG = "ogg"
    AAC = "aac"
    MD = "md"
    JSON = "json"


_TEXTS = (ExportFormat.MD, ExportFormat.JSON)

Format = Annotated[
    ExportFormat | None,
    typer.Option("--format", "-f", help="What to make; by default what the output's name says, else wav."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to; - is standard output. By default ID.FORMAT here.")
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw who spoke when into this .png or .svg as well.")]
Pause = Annotated[float, typer.Option("--pause", min=0.0, max=60.0, help="Seconds between two utterances.")]
Rate = Annotated[int, typer.Option("--rate", min=8_000, max=192_000, help="Frames per second of the audio.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


@dataclass(frozen=True, slots=True)
class _Order:
    """An export, as it was typed."""

    conversation_id: str
    format: ExportFormat
    output: Path
    plot: Path | None
    pause_s: float
    rate_hz: int


@dataclass(slots=True)
class _Tally:
    """What came of it."""

    utterances: int = 0
    length_s: float = 0.0
    size_bytes: int = 0
    complaints: int = 0

    def complain(self, sentence: str) -> None:
        """Say what is left out, when it is met, and keep count."""
        self.complaints += 1
        warn(sentence)

    def take(self, sound: Sound) -> None:
        """Count a recording."""
        self.utterances += not sound.goes_on
        self.length_s = sound.placed.end_s


def export_conversation(
    conversation_id: ConversationId,
    format: Format = None,
    output: Output = None,
    plot: Plot = None,
    pause: Pause = PAUSE_S,
    rate: Rate = RATE_HZ,
    force: Force = False,
) -> None:
    """Join a conversation into one audio file, or write it down.

    All that was kept is joined, what the agent said and what you said, equally loud and with a pause between.
    """
    check_conversation_id(conversation_id)
    settings = read_settings()
    conversation_id = _whole(conversation_id, settings)
    chosen = format or _format_of(output)
    target = output or Path(f"{conversation_id}.{chosen}")
    order = _Order(conversation_id, chosen, target, plot, pause, rate)
    _check(order, force=force)
    _say(order, _export(order, settings))


def _whole(conversation_id: str, settings: Settings) -> str:
    """The ID that is meant, of those that have lines in the log or audio of their own."""
    log, root = conversation_log(settings)
    known = {summary.id for summary in log.conversations()} | {folder.name for folder in conversation_folders(root)}
    return whole_id(conversation_id, known)


def _format_of(output: Path | None) -> ExportFormat:
    ending = output.suffix.lstrip(".").lower() if output is not None else ""
    if not ending:
        return ExportFormat.WAV
    try:
        return ExportFormat(ending)
    except ValueError as exc:
        raise InvalidInput(f"The name {output} does not say a format.", hint="Name one with --format.") from exc


def _check(order: _Order, *, force: bool) -> None:
    """See that it can be done before any of it is."""
    check_target(order.output, force=force, is_text=order.format in _TEXTS)
    if order.plot is None:
        return
    check_plot(order.plot)
    check_target(order.plot, force=force)
    if order.plot.absolute() == order.output.absolute():
        raise InvalidInput(f"{order.plot} cannot be both.", hint="Name two files.")


def _export(order: _Order, settings: Settings) -> _Tally:
    log, root = conversation_log(settings)
    tally = _Tally()
    record = read_record(log, root, order.conversation_id, tally.complain)
    _see_that_there_is_one(order, record)
    picture = None
    if order.plot is not None:
        events = read_events(root.event_files(settings.event_log_dir), order.conversation_id)
        picture = Picture(PcmFormat(order.rate_hz, 1), timings_of(events))
    if order.format not in _TEXTS:
        _write_audio(order, record, _sounds(order, record, tally, picture), tally)
    elif picture is None:
        _write_text(order, record, tally)
    else:
        tally.length_s = max(sound.placed.end_s for sound in _sounds(order, record, tally, picture))
        _write_text(order, record, tally)
    if picture is not None and order.plot is not None:
        with new_file(order.plot) as file:
            picture.draw(f"Conversation {order.conversation_id}", _facts_line(record, tally), file, order.plot.suffix)
    return tally


def _see_that_there_is_one(order: _Order, record: ConversationRecord) -> None:
    if not record.exchanges and not record.takes:
        raise not_on_record(order.conversation_id)
    if not record.exchanges and order.format in _TEXTS:
        raise InvalidInput(
            f"Of conversation {order.conversation_id} there is only audio.",
            hint="Export that; texts are kept unless VOICEMODE_CONVERSATION_LOG_ENABLED=false.",
        )


def _sounds(order: _Order, record: ConversationRecord, tally: _Tally, picture: Picture | None) -> Iterator[Sound]:
    """The recordings in their places, counted and drawn while they pass.

    Raises:
        InvalidInput: None was kept.
        StorageError: None of those that were kept can be read.
    """
    if not record.takes:
        raise InvalidInput(
            f"No audio of conversation {order.conversation_id} was kept.",
            hint="Set VOICEMODE_SAVE_AUDIO=true to keep the audio of the next ones; --format md writes the texts.",
        )
    for sound in joined(record.takes, Joiner(order.rate_hz, order.pause_s), tally.complain):
        tally.take(sound)
        if picture is not None:
            picture.add(sound)
        yield sound
    if not tally.utterances:
        raise StorageError(
            f"None of the recordings of conversation {order.conversation_id} can be read.",
            hint="Write the texts with --format md.",
        )


def _write_audio(order: _Order, record: ConversationRecord, sounds: Iterator[Sound], tally: _Tally) -> None:
    first = next(sounds)  # where there is none, this says so before a file is begun
    pieces = (sound.placed.pcm for sound in chain([first], sounds))
    name, rate_hz, tags = order.format.value, order.rate_hz, _tags(order, record)
    if order.output == STANDARD_OUTPUT:
        with StreamingAudioWriter(name, rate_hz, tags=tags) as stream:
            for data in chain(map(stream.write_chunk, pieces), iter(stream.finalize, b"")):
                put_out(data)
                tally.size_bytes += len(data)
        return
    with new_file(order.output) as file:
        with StreamingAudioWriter(name, rate_hz, seekable=file, tags=tags) as writer:
            for pcm in pieces:
                writer.write_chunk(pcm)
        tally.size_bytes = file.seek(0, os.SEEK_END)


def _write_text(order: _Order, record: ConversationRecord, tally: _Tally) -> None:
    tally.utterances = len(record.exchanges)
    if order.format is ExportFormat.MD:
        text = conversation_markdown(order.conversation_id, record.exchanges)
    elif order.output == STANDARD_OUTPUT:
        text = json_text(conversation_document(order.conversation_id, record.exchanges), indent=2) + "\n"
    else:
        document = conversation_document(order.conversation_id, record.exchanges)
        text = json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n"
    data = text.encode("utf-8", "replace")
    tally.size_bytes = len(data)
    if order.output == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    with new_file(order.output) as file:
        file.write(data)


def _tags(order: _Order, record: ConversationRecord) -> dict[str, str]:
    """What the audio says of itself: also that a machine speaks in it, for whoever gets it without its history."""
    tags = {"title": f"Conversation {order.conversation_id}"}
    if record.exchanges:
        tags["date"] = f"{local_time(record.exchanges[0].timestamp):%Y-%m-%d}"
    if any(take.kind == "tts" for take in record.takes):
        said = [exchange.metadata for exchange in record.exchanges if exchange.type == "tts"]
        voices = dict.fromkeys(
            ", voice ".join(str(facts[name]) for name in ("engine", "voice") if facts.get(name)) for facts in said
        )
        named = "; ".join(filter(None, voices))
        tags["comment"] = "The agent's speech is synthetic" + (f" ({named})." if named else ".")
    return tags


def _facts_line(record: ConversationRecord, tally: _Tally) -> str:
    began = minutes(local_time(record.exchanges[0].timestamp)) if record.exchanges else None
    return " · ".join(filter(None, (began, clock_text(tally.length_s), _count(tally.utterances, "utterance"))))


def _say(order: _Order, tally: _Tally) -> None:
    """One line: what there is now, and where."""
    facts = [clock_text(tally.length_s)] if tally.length_s else []
    facts += [_count(tally.utterances, "utterance"), _size(tally.size_bytes)]
    if order.plot is not None:
        facts.append(f"plot in {order.plot}")
    if tally.complaints:
        facts.append(f"{_count(tally.complaints, 'warning')}")
    to_output = order.output == STANDARD_OUTPUT
    name = "to standard output" if to_output else order.output
    console = standard_error() if to_output else standard_output()
    console.print(visible(f"Wrote {name} · {' · '.join(facts)}"), soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{max(1, round(size_bytes / 1000))} kB"
