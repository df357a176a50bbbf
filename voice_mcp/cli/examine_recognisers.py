"""Whether somebody can turn speech into words. Never worse than a warning: speaking does without."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from voice_mcp.app import App
from voice_mcp.cli.report import Check, Finding, State
from voice_mcp.core.transcribing import NOBODY_HINT
from voice_mcp.errors import EngineError, EngineMissing, EngineRefused, InvalidInput
from voice_mcp.openai_client import Endpoint, TranscriptionClient, load_sdk
from voice_mcp.openai_client.endpoints import listening_endpoints, usable
from voice_mcp.parts import local_whisper
from voice_mcp.settings import Settings
from voice_mcp.storage.models import Models
from voice_mcp.stt.sphinx import SphinxRecognizer

NAME = "recogniser"
NOT_THERE = (404, 405)


async def check_recognisers(app: App) -> Finding:
    """See who can listen, one line each."""
    settings = app.settings
    local = await _local(settings)
    unknown = _unknown_model(settings)
    if settings.stt_engine not in ("auto", "openai"):
        asked = Check(NAME, State.OK, f"no endpoint is asked (VOICEMODE_STT_ENGINE={settings.stt_engine})")
        return Finding((asked, *local.checks, *unknown), local.works)
    await asyncio.to_thread(load_sdk)
    endpoints = listening_endpoints(settings)
    found = await asyncio.gather(*(_endpoint(endpoint, settings) for endpoint in endpoints))
    works = any(finding.works for finding in (*found, local))
    checks = [check for finding in found for check in finding.checks]
    checks += local.checks if works else [replace(check, state=State.WARNING) for check in local.checks]
    if not app.transcriber.roster.engines:
        checks.append(Check(NAME, State.WARNING, "Nobody can turn speech into words.", NOBODY_HINT))
    return Finding((*checks, *unknown), works)


async def _local(settings: Settings) -> Finding:
    """Recognisers of this machine, in one line: nobody has to have one who does not ask for it."""
    whisper, sphinx = local_whisper(settings), SphinxRecognizer()
    facts, hint, state, works = [], "", State.OK, False
    for recognizer in (whisper, sphinx):
        asked_for = settings.stt_engine == recognizer.name
        try:
            await recognizer.check()
        except EngineError as exc:
            facts.append(f"{recognizer.name} is not there: {exc.message.rstrip('.')}")
            state = State.WARNING if asked_for or not isinstance(exc, EngineMissing) else state
            hint = exc.hint if asked_for or not hint else hint
        else:
            facts.append(f"{recognizer.name} ({recognizer.model}) is installed")
            works = works or asked_for or (recognizer is whisper and settings.stt_engine == "auto")
        finally:
            await recognizer.aclose()
    return Finding((Check(NAME, state, f"on this machine: {'; '.join(facts)}.", hint),), works)


def _unknown_model(settings: Settings) -> tuple[Check, ...]:
    """A name that is none of a model, also where nothing is installed yet that would find out."""
    name = settings.whisper_model
    try:
        if not Path(name).expanduser().is_file():
            Models(settings.base_dir).known(name)
    except InvalidInput as exc:
        detail = f"VOICEMODE_WHISPER_MODEL={name} is neither a model nor a file that is there."
        return (Check(NAME, State.WARNING, detail, exc.hint),)
    return ()


async def _endpoint(endpoint: Endpoint, settings: Settings) -> Finding:
    if settings.offline and not endpoint.is_local:
        left_alone = Check(NAME, State.OK, f"{endpoint.host} is not asked (VOICEMODE_OFFLINE=true)")
        return Finding((left_alone,), works=False)
    if not usable([endpoint], offline=settings.offline):
        keyless = Check(NAME, State.WARNING, f"{endpoint.host} is not asked: it has no key.", "Set OPENAI_API_KEY.")
        return Finding((keyless,), works=False)
    client = TranscriptionClient(endpoint, stall_s=settings.stream_stall_timeout)
    try:
        lists_models = await client.check()
    except EngineError as exc:
        if not (isinstance(exc, EngineRefused) and exc.status in NOT_THERE):
            return Finding((Check(NAME, State.WARNING, exc.message, exc.hint),), works=False)
        lists_models = False
    finally:
        await client.aclose()
    key = "with a key" if endpoint.api_key else "without a key"
    if lists_models:
        return Finding((Check(NAME, State.OK, f"{endpoint.host} answers, {key}"),), works=True)
    # So does whisper.cpp's own server, which is all right, and so does any address with a typo in it.
    hint = "If it does not listen, see that its URL ends in /v1."
    answers = Check(NAME, State.OK, f"{endpoint.host} answers, {key}; it lists no models.", hint)
    return Finding((answers,), works=True)
