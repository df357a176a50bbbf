"""Whether something can speak: engines of this machine say a word to nobody, endpoints are asked for an answer."""

from __future__ import annotations

import asyncio

from voice_mcp.app import App
from voice_mcp.cli.examine_voices import check_absent_voices
from voice_mcp.cli.report import Check, Finding, State
from voice_mcp.errors import EngineBusy, EngineError, EngineRefused
from voice_mcp.openai_client import Endpoint, SpeechClient, load_sdk
from voice_mcp.openai_client.endpoints import speech_endpoints, usable
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import Settings
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.types import PcmFormat, SpeechRequest

WORD = "Ready."
WORD_S = 10.0
"""Longest an engine of this machine may take to say it."""
KEY_REFUSED = (401, 403)
NOT_THERE = (404, 405)


async def check_speech(app: App) -> Finding:
    """See who can speak."""
    local = [engine for engine in app.engines if not isinstance(engine, OpenAIEngine)]
    findings = await asyncio.gather(*map(_engine, local), _endpoints(app.settings))
    checks = tuple(check for finding in findings for check in finding.checks)
    checks += await check_absent_voices(app)
    return Finding(checks, any(finding.works for finding in findings))


async def _engine(engine: SpeechEngine) -> Finding:
    try:
        async with asyncio.timeout(WORD_S):
            size_bytes, fmt = await _say_word(engine)
            voices = len(await engine.voices())
    except (EngineError, TimeoutError) as exc:
        reason = exc.message if isinstance(exc, EngineError) else f"It said nothing within {WORD_S:.0f} s."
        hint = exc.hint if isinstance(exc, EngineError) else ""
        return Finding((Check(engine.name, State.BROKEN, reason, hint),), works=False)
    seconds = fmt.seconds(fmt.frames(size_bytes))
    if not size_bytes:
        return Finding((Check(engine.name, State.BROKEN, "It made no sound."),), works=False)
    detail = f"speaks ({seconds:.1f} s of sound for one word), {voices} voices"
    return Finding((Check(engine.name, State.OK, detail),), works=True)


async def _say_word(engine: SpeechEngine) -> tuple[int, PcmFormat]:
    """Bytes of sound that one word makes, and their format."""
    stream = await engine.open(SpeechRequest(WORD))
    try:
        size_bytes = 0
        async for block in stream:
            size_bytes += len(block)
        return size_bytes, stream.pcm_format or engine.expected_format
    finally:
        await stream.aclose()


async def _endpoints(settings: Settings) -> Finding:
    if settings.tts_engine not in ("auto", "openai"):
        detail = f"not asked (VOICEMODE_TTS_ENGINE={settings.tts_engine})"
        return Finding((Check("endpoints", State.OK, detail),), works=False)
    await asyncio.to_thread(load_sdk)  # 400 ms in which the other checks go on
    findings = await asyncio.gather(*(_endpoint(endpoint, settings) for endpoint in speech_endpoints(settings)))
    checks = [check for finding in findings for check in finding.checks]
    return Finding((*checks, _keys(settings)), any(finding.works for finding in findings))


async def _endpoint(endpoint: Endpoint, settings: Settings) -> Finding:
    if not usable([endpoint], offline=settings.offline):
        return Finding((_left_alone(endpoint, settings),), works=False)
    client = SpeechClient(endpoint, stall_s=settings.stream_stall_timeout)
    try:
        lists_models = await client.check()
    except EngineError as exc:
        return _trouble(endpoint, exc, is_all=settings.tts_engine == "openai")
    finally:
        await client.aclose()
    if not lists_models:
        return _no_models(endpoint)
    return Finding((Check("endpoint", State.OK, f"{endpoint.host} answers"),), works=True)


def _left_alone(endpoint: Endpoint, settings: Settings) -> Check:
    """An endpoint that speech does not ask either."""
    if settings.offline and not endpoint.is_local:
        return Check("endpoint", State.OK, f"{endpoint.host} is not asked (VOICEMODE_OFFLINE=true)")
    return Check("endpoint", State.WARNING, f"{endpoint.host} is not asked: it has no key.", "Set OPENAI_API_KEY.")


def _trouble(endpoint: Endpoint, exc: EngineError, *, is_all: bool) -> Finding:
    """What an error says of an endpoint.

    Args:
        endpoint: Which.
        exc: What it answered, or that it did not.
        is_all: Whether there is no other voice to fall back on.
    """
    if isinstance(exc, EngineRefused) and exc.status in NOT_THERE:
        return _no_models(endpoint)
    if isinstance(exc, EngineBusy):
        return Finding((Check("endpoint", State.WARNING, exc.message, exc.hint),), works=True)
    broken = is_all or (isinstance(exc, EngineRefused) and exc.status in KEY_REFUSED)
    return Finding((Check("endpoint", State.BROKEN if broken else State.WARNING, exc.message, exc.hint),), works=False)


def _no_models(endpoint: Endpoint) -> Finding:
    """An endpoint that is there, and may speak: not every speech server lists its models, but every one with a typo."""
    detail = f"{endpoint.host} answers, but lists no models."
    hint = "If it does not speak, see that its URL ends in /v1."
    return Finding((Check("endpoint", State.WARNING, detail, hint),), works=True)


def _keys(settings: Settings) -> Check:
    """Which endpoints have a key. No part of a key is shown."""
    facts = [
        f"{endpoint.host} {'has one' if endpoint.api_key else 'has none'}" for endpoint in speech_endpoints(settings)
    ]
    return Check("keys", State.OK, ", ".join(facts))
