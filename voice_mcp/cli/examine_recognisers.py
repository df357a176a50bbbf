"""Whether somebody can turn speech into words. Never worse than a warning: speaking does without."""

from __future__ import annotations

import asyncio

from voice_mcp.app import App
from voice_mcp.cli.report import Check, State
from voice_mcp.errors import EngineError, EngineMissing, EngineRefused
from voice_mcp.openai_client import Endpoint, TranscriptionClient, load_sdk
from voice_mcp.openai_client.endpoints import listening_endpoints, usable
from voice_mcp.parts import local_whisper
from voice_mcp.settings import Settings
from voice_mcp.stt.sphinx import SphinxRecognizer

NAME = "recogniser"
NOT_THERE = (404, 405)


async def check_recognisers(app: App) -> tuple[Check, ...]:
    """See who can listen, one line each."""
    settings = app.settings
    local = await _local(settings)
    if settings.stt_engine not in ("auto", "openai"):
        return (Check(NAME, State.OK, f"no endpoint is asked (VOICEMODE_STT_ENGINE={settings.stt_engine})"), local)
    await asyncio.to_thread(load_sdk)
    endpoints = listening_endpoints(settings)
    checks = await asyncio.gather(*(_endpoint(endpoint, settings) for endpoint in endpoints))
    if not app.transcriber.roster.engines:
        hint = "Set OPENAI_API_KEY, or add an endpoint to VOICEMODE_STT_BASE_URLS, or install Whisper."
        return (*checks, local, Check(NAME, State.WARNING, "Nobody can turn speech into words.", hint))
    return (*checks, local)


async def _local(settings: Settings) -> Check:
    """Recognisers of this machine, in one line: nobody has to have one who does not ask for it."""
    whisper, sphinx = local_whisper(settings), SphinxRecognizer()
    facts, hint, state = [], "", State.OK
    for recognizer in (whisper, sphinx):
        try:
            await recognizer.check()
        except EngineError as exc:
            facts.append(f"{recognizer.name} is not there: {exc.message.rstrip('.')}")
            asked_for = settings.stt_engine == recognizer.name
            state = State.WARNING if asked_for or not isinstance(exc, EngineMissing) else state
            hint = exc.hint if asked_for or not hint else hint
        else:
            facts.append(f"{recognizer.name} ({recognizer.model}) is installed")
        finally:
            await recognizer.aclose()
    return Check(NAME, state, f"on this machine: {'; '.join(facts)}.", hint)


async def _endpoint(endpoint: Endpoint, settings: Settings) -> Check:
    if settings.offline and not endpoint.is_local:
        return Check(NAME, State.OK, f"{endpoint.host} is not asked (VOICEMODE_OFFLINE=true)")
    if not usable([endpoint], offline=settings.offline):
        return Check(NAME, State.WARNING, f"{endpoint.host} is not asked: it has no key.", "Set OPENAI_API_KEY.")
    client = TranscriptionClient(endpoint, stall_s=settings.stream_stall_timeout)
    try:
        lists_models = await client.check()
    except EngineError as exc:
        if not (isinstance(exc, EngineRefused) and exc.status in NOT_THERE):
            return Check(NAME, State.WARNING, exc.message, exc.hint)
        lists_models = False
    finally:
        await client.aclose()
    key = "with a key" if endpoint.api_key else "without a key"
    if lists_models:
        return Check(NAME, State.OK, f"{endpoint.host} answers, {key}")
    # So does whisper.cpp's own server, which is all right, and so does any address with a typo in it.
    hint = "If it does not listen, see that its URL ends in /v1."
    return Check(NAME, State.OK, f"{endpoint.host} answers, {key}; it lists no models.", hint)
