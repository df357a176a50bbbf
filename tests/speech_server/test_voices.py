"""Names that clients know: models and voices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.speech_server.service import Service
from voice_mcp import __version__
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.errors import ApiError
from voice_mcp.speech_server.voices import OPENAI_VOICES, voice_for
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.openai import OPENAI_VOICES as KNOWN_TO_CLIENTS
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(EspeakEngine(), ToneEngine()) as running:
        yield running


def speaker(wanted: str | None) -> str:
    """Which of espeak's voices speaks for a name."""

    async def find() -> str:
        engine = EspeakEngine()
        stream = await engine.open(SpeechRequest("Hi.", await voice_for(engine, wanted)))
        await stream.aclose()
        await engine.aclose()
        return stream.voice

    return asyncio.run(find())


def test_every_voice_of_openais_is_a_voice_of_its_own() -> None:
    assert set(OPENAI_VOICES) == set(KNOWN_TO_CLIENTS)
    assert {name: speaker(name) for name in OPENAI_VOICES} == OPENAI_VOICES
    assert len(set(OPENAI_VOICES.values())) == len(OPENAI_VOICES)


@pytest.mark.parametrize(
    ("wanted", "voice"),
    [
        (None, "en-us"),
        ("Alloy", "en-us+f1"),
        ("af_sky", "en-us+f3"),
        ("bm_george", "en-gb+m3"),
        ("jf_alpha", "ja+f3"),
        ("zm_yunxi", "cmn+m3"),
        ("de", "de"),
        ("fr-fr+whisper", "fr-fr+whisper"),
    ],
)
def test_names_of_other_services_find_a_voice_of_their_kind(wanted: str | None, voice: str) -> None:
    assert speaker(wanted) == voice


@pytest.mark.parametrize("wanted", ["af_sky+af_bella", "xf_sky", "nobody", ""])
def test_a_name_that_nobody_has_is_refused(wanted: str) -> None:
    with pytest.raises(ApiError):
        speaker(wanted)


@pytest.mark.parametrize(("wanted", "voice"), [("alloy", None), ("af_sky", None), ("square", "square")])
def test_an_engine_without_such_voices_speaks_with_its_own(wanted: str, voice: str | None) -> None:
    assert asyncio.run(voice_for(ToneEngine(), wanted)) == voice


@pytest.mark.parametrize(
    ("model", "engine"),
    [(None, "espeak"), ("tts-1", "espeak"), ("kokoro", "espeak"), ("espeak", "espeak"), ("Tone", "tone")],
)
def test_a_model_is_an_engine_or_means_the_default(model: str | None, engine: str) -> None:
    assert Engines([EspeakEngine(), ToneEngine()]).of(model).name == engine


def test_openais_client_lists_the_models(service: Service) -> None:
    with service.client() as client:
        models = [model.id for model in client.models.list()]
    assert models == ["espeak", "tone", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]


def test_voices_are_listed_with_what_to_ask_for(service: Service) -> None:
    voices = {voice["id"]: voice for voice in service.ask("GET", "/v1/audio/voices").json["voices"]}
    assert set(OPENAI_VOICES) < set(voices)
    assert voices["de"] == {"id": "de", "name": "de", "language": "de", "description": "German"}
    tones = service.ask("GET", "/v1/audio/voices?model=tone").json["voices"]
    assert {"sine", "square"} < {voice["name"] for voice in tones}


def test_health_tells_who_speaks_and_how_many_wait(service: Service) -> None:
    facts = service.ask("GET", "/health").json
    assert facts == {"status": "ok", "engine": "espeak", "version": __version__, "running": 0, "waiting": 0}


def test_every_voice_of_openais_can_be_heard(service: Service) -> None:
    with service.client() as client:
        for name in OPENAI_VOICES:
            body = client.audio.speech.create(model="tts-1", voice=name, input="Hi.", response_format="pcm").read()
            assert any(body), name
