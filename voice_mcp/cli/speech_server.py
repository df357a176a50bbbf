"""`voice-mcp speech-server`: the voice for other programs, over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import standard_error
from voice_mcp.parts import NEURAL, build_csm, build_marker, build_neural, installed_neural
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import Settings
from voice_mcp.speech_server.options import CONCURRENCY, HOST, PORT, QUEUE, Options
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.tone import ToneEngine

if TYPE_CHECKING:
    from voice_mcp.speech_server.run import SpeechServer

Host = Annotated[str, typer.Option(help="Where to listen; any but this machine's own needs a token.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")]
Concurrency = Annotated[int, typer.Option(min=1, help="How many requests are spoken at a time.")]
Queue = Annotated[int, typer.Option(min=0, help="How many may wait; more are told to come back.")]


def speech_server(
    host: Host = HOST, port: Port = PORT, concurrency: Concurrency = CONCURRENCY, queue: Queue = QUEUE
) -> None:
    """Serve speech over HTTP as OpenAI does, with the engines on this machine.

    Clients that are made for OpenAI's speech work with it. Ctrl+C ends it.
    """
    settings = read_settings()
    from voice_mcp.speech_server.engines import Engines  # the web server takes 100 ms to load
    from voice_mcp.speech_server.run import run_service

    token = settings.speech_server_token
    options = Options(host, port, token.get_secret_value() if token else None, concurrency, queue)
    engines = Engines(
        local_engines(settings), build_marker(settings), stands_in=settings.tts_engine in ("auto", "openai")
    )
    asyncio.run(run_service(engines, options, _tell))


def local_engines(settings: Settings) -> list[SpeechEngine]:
    """The engines on this machine, the one that is set first; endpoints are for clients to ask, not for a server."""
    wanted = settings.tts_engine
    engines: list[SpeechEngine] = [*installed_neural(settings), EspeakEngine(), ToneEngine()]
    if wanted == "csm":
        engines.append(build_csm(settings))
    elif wanted in NEURAL and all(engine.name != wanted for engine in engines):
        engines.append(build_neural(settings, wanted))  # it is told what is missing
    return sorted(engines, key=lambda engine: engine.name != wanted)


def _tell(server: SpeechServer) -> None:
    standard_error().print(f"voice-mcp: speech is served at {server.base_url} (Ctrl+C ends it).")
