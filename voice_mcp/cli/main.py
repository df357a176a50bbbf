"""The commands put together, and the one place where their errors become words and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from voice_mcp import __version__
from voice_mcp.cli.controlling import control, hush, status
from voice_mcp.cli.conversations import conversations
from voice_mcp.cli.converse import converse
from voice_mcp.cli.demo import demo
from voice_mcp.cli.devices import devices
from voice_mcp.cli.doctor import doctor
from voice_mcp.cli.forget import forget
from voice_mcp.cli.log import log
from voice_mcp.cli.models import models
from voice_mcp.cli.output import complain, tame_streams
from voice_mcp.cli.privacy import privacy
from voice_mcp.cli.settings import settings
from voice_mcp.cli.speak import speak
from voice_mcp.cli.speech_server import speech_server
from voice_mcp.cli.stats import stats
from voice_mcp.cli.voices import voices
from voice_mcp.cli.watermark import watermark
from voice_mcp.errors import VoiceError

ABOUT = """Gives AI agents a voice.

Without a command this is the MCP server on standard input and output; it is started by an MCP host, not by hand."""
SPEAKING, KEYS, LOOKING, RECORDS = "Speak", "Keys", "Look", "Records"


def main() -> None:
    """Run the command that was typed, and exit with its code."""
    tame_streams()
    try:
        build_commands()(prog_name="voice-mcp")
    except VoiceError as exc:
        complain(exc)
        sys.exit(1)


def build_commands() -> typer.Typer:
    """Every command there is."""
    commands = typer.Typer(
        help=ABOUT,
        # Completion asks the program without arguments, and without arguments it is a server.
        add_completion=False,
        no_args_is_help=True,
        # A traceback drawn with local variables would show keys.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    commands.callback()(_options)
    panels: dict[str, tuple[Callable[..., None], ...]] = {
        SPEAKING: (speak, converse, demo, speech_server),
        KEYS: (hush, control, status),
        LOOKING: (doctor, voices, devices, settings, watermark),
        RECORDS: (log, stats, privacy, forget),
    }
    for panel, members in panels.items():
        for command in members:
            commands.command(rich_help_panel=panel, help=_paragraphs(command.__doc__ or ""))(command)
    commands.add_typer(models(), name="models", rich_help_panel=LOOKING)
    commands.add_typer(conversations(), name="conversations", rich_help_panel=RECORDS)
    return commands


def _paragraphs(text: str) -> str:
    """A docstring without its line breaks, which are those of our source and not of the reader's terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", is_eager=True, callback=lambda value: _version(value), help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What comes before the command."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voice-mcp {__version__}")
        raise typer.Exit
