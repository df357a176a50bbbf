"""`voice-mcp speak`: a text, a file, or what comes in, said aloud."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from voice_mcp.cli.captions import Captions
from voice_mcp.cli.ending import Ending
from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.output import AsJson, print_json, standard_output
from voice_mcp.cli.spoken import failure_record, print_division, print_spoken, spoken_record
from voice_mcp.cli.text import NOTHING_HINT, LiveText, TextSource, WholeText, file_text
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.speech import Spoken
from voice_mcp.errors import NothingToSay, SpeechCutOff, VoiceError
from voice_mcp.protocols import ProgressListener
from voice_mcp.settings import Settings
from voice_mcp.types import SpeechStatus

STANDARD_INPUT = "-"

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="What to say; - takes standard input as it comes.", show_default=False),
]
TextFile = Annotated[
    Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Say what is in this file.")
]
VoiceName = Annotated[str | None, typer.Option("--voice", "-v", help="A voice from `voice-mcp voices`.")]
Speed = Annotated[float | None, typer.Option("--speed", "-s", help="0.25 to 4.0; 1.0 is normal.")]
Instructions = Annotated[str | None, typer.Option("--instructions", "-i", help="Tone, for models that take it.")]
ConversationId = Annotated[str | None, typer.Option("--conversation-id", "-c", help="Continue this conversation.")]


@dataclass(frozen=True, slots=True)
class Order:
    """How something is to be said, as it was typed."""

    voice: str | None
    speed: float | None
    instructions: str | None
    conversation_id: str | None


def speak(
    words: Words = None,
    file: TextFile = None,
    voice: VoiceName = None,
    speed: Speed = None,
    instructions: Instructions = None,
    conversation_id: ConversationId = None,
    as_json: AsJson = False,
) -> None:
    """Say something aloud: a text, a file, or what comes in on standard input.

    Speech begins while the text is still coming in. Ctrl+C stops it and tells what was heard.
    """
    source = _source(words or [], file)
    order = Order(voice, speed, instructions, conversation_id)
    ending = Ending()
    try:
        settings = read_settings()
        shown, progress = _captions(source, as_json)
        with shown:
            spoken = asyncio.run(_say(settings, source, order, progress, ending))
    except VoiceError as exc:
        if as_json:
            print_json(failure_record(exc))
        elif isinstance(exc, SpeechCutOff):
            print_division(exc.heard, exc.unheard)
        raise
    if as_json:
        print_json(spoken_record(spoken))
    else:
        print_spoken(spoken)
    if spoken.status is SpeechStatus.INTERRUPTED:
        raise typer.Exit(ending.exit_code)


def _source(words: list[str], file: Path | None) -> TextSource:
    """Where the text comes from; standard input also when nothing is named and something is piped in."""
    if file is not None and words:
        raise typer.BadParameter("give a TEXT or a --file, not both", param_hint="--file")
    if file is not None:
        return file_text(file)
    if words and words != [STANDARD_INPUT]:
        return WholeText(" ".join(words))
    if sys.stdin is None or (not words and sys.stdin.isatty()):
        raise typer.BadParameter("give a TEXT, a --file, or - for standard input", param_hint="TEXT")
    return LiveText(sys.stdin.fileno(), typed=sys.stdin.isatty())


def _captions(source: TextSource, as_json: bool) -> tuple[AbstractContextManager[object], ProgressListener]:
    """Captions where there is a terminal that is not needed for something else."""
    console, captions = standard_output(), Captions()
    if as_json or source.typed or not console.is_terminal:
        return nullcontext(), captions.update
    return captions.shown_on(console), captions.update


async def _say(
    settings: Settings, source: TextSource, order: Order, progress: ProgressListener, ending: Ending
) -> Spoken:
    """Say it; a cancellation stops the voice and returns how far it got.

    Raises:
        VoiceError: It could not be said.
    """
    ending.watch()
    async with house(settings) as app:
        manner = app.session.manner(order.voice, order.speed, order.instructions)
        named = order.conversation_id
        conversation_id = app.session.conversation_id if named is None else check_conversation_id(named)
        app.warm_up()
        try:
            script, since_s = await source.open(app.clock)
        except asyncio.CancelledError:
            return Spoken(SpeechStatus.INTERRUPTED, conversation_id, "", heard="", unheard="")
        speech = app.speaker.start(script, manner, conversation_id, since_s, progress)
        try:
            spoken = await speech.result()
        except asyncio.CancelledError:
            speech.stop()
            return await speech.result()
    if spoken.engine is None:
        raise NothingToSay("There is nothing to say: the text holds no words.", hint=NOTHING_HINT)
    return spoken
