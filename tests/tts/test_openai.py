"""An OpenAI-compatible endpoint: whose refusal is about the voice, and what of its answers is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.pattern import spoken
from tests.support.tls import Authority
from voice_mcp.errors import EngineError, EngineRefused, EngineStalled, UnknownVoice
from voice_mcp.openai_client import Endpoint
from voice_mcp.tts.openai import OPENAI_PCM, OpenAIEngine
from voice_mcp.types import PcmFormat, SpeechRequest

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def engine_for(endpoint: SpeechEndpoint, model: str = "tts-1") -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(Endpoint(endpoint.base_url, model=model), audio_format="pcm", stall_s=5.0)
    try:
        with anyio.fail_after(20):
            yield engine
    finally:
        await engine.aclose()


def error(message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


# --- voices that are refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        error("Voice 'robin' not found. Available: alba, bruno."),
        error("There is no voice robin."),
        error("[{'loc': ('body', 'voice'), 'msg': \"Input should be 'alloy'\", 'input': 'robin'}]"),
        error("Not one of ours.", param="voice"),
        {"detail": "Voice 'robin' not found."},
        {"detail": {"error": "validation_error", "message": "Voice 'robin' not found."}},
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_refusal_of_the_voice_is_known_by_what_the_server_says(body: dict[str, Any], status: int) -> None:
    with SpeechEndpoint(Behaviour.answering(body, status=status)) as endpoint:
        async with engine_for(endpoint) as engine:
            with pytest.raises(UnknownVoice):
                await engine.open(SpeechRequest("Hello.", "robin"))
            assert engine.knows_voice("robin") is False


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, error("The model 'tts-voice-1' does not exist.")),
        (404, error("The model 'tts-voice-1' does not exist, said voice.example.com to robin.")),
        (400, error("The input is too long for any voice.")),
        (400, error("robin is not a number.", param="speed")),
        (404, {"detail": "Not Found"}),
        (401, error("Voice 'robin' is not for you.")),
    ],
)
async def test_any_other_refusal_leaves_the_voice_alone(status: int, body: dict[str, Any]) -> None:
    with SpeechEndpoint(Behaviour.answering(body, status=status)) as endpoint:
        async with engine_for(endpoint, model="tts-voice-1") as engine:
            with pytest.raises(EngineRefused):
                await engine.open(SpeechRequest("Hello.", "robin"))
            assert engine.knows_voice("robin") is None


async def test_a_host_with_voice_in_its_name_does_not_make_a_refusal_one_of_the_voice() -> None:
    with SpeechEndpoint(Behaviour.refusing(404, "No such model.")) as endpoint:
        address = _NamedEndpoint(endpoint.base_url)
        engine = OpenAIEngine(address, audio_format="pcm", stall_s=5.0)
        refusal = await _failure(engine, SpeechRequest("Hello.", "robin"))
    assert isinstance(refusal, EngineRefused)
    assert "voice.example.com" in refusal.message


async def test_a_voice_that_openai_refused_is_not_asked_for_again() -> None:
    refusal = Behaviour.answering(error("Voice 'marin' is not for this model.", param="voice"), status=400)
    with SpeechEndpoint(refusal) as endpoint:
        address = _OpenAIAtHome(endpoint.base_url)
        assert address.is_openai
        engine = OpenAIEngine(address, audio_format="pcm", stall_s=5.0)
        assert engine.knows_voice("marin") is True
        assert isinstance(await _failure(engine, SpeechRequest("Hello.", "marin")), UnknownVoice)
        assert engine.knows_voice("marin") is False
        assert engine.knows_voice("cedar") is True


class _NamedEndpoint(Endpoint):
    """An endpoint of this machine under a name of the internet."""

    @property
    def host(self) -> str:
        return "voice.example.com"


class _OpenAIAtHome(Endpoint):
    """An endpoint of this machine that has OpenAI's voices."""

    @property
    def is_openai(self) -> bool:
        return True


async def _failure(engine: OpenAIEngine, request: SpeechRequest) -> Exception:
    try:
        with anyio.fail_after(20):
            await engine.open(request)
    except (EngineError, UnknownVoice) as exc:
        return exc
    finally:
        await engine.aclose()
    raise AssertionError("it spoke")


# --- what PCM is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("audio/L16;rate=16000;channels=2", PcmFormat(16_000, 2)),
        ("audio/pcm; rate=192000; channels=8", PcmFormat(192_000, 8)),
        ("audio/pcm; rate=4000", PcmFormat(4_000, 1)),
        ("audio/pcm;rate=1;channels=384000", OPENAI_PCM),
        ("audio/pcm;rate=192001;channels=9", OPENAI_PCM),
        ("audio/pcm;rate=0;channels=0", OPENAI_PCM),
        ("audio/pcm;rate=16000;channels=9", PcmFormat(16_000, 1)),
        (f"audio/pcm;rate={'9' * 5000}", OPENAI_PCM),
    ],
)
async def test_a_content_type_is_believed_as_far_as_it_can_be_true(media_type: str, expected: PcmFormat) -> None:
    with SpeechEndpoint(Behaviour(content_type=media_type)) as endpoint:
        async with engine_for(endpoint) as engine:
            stream = await engine.open(SpeechRequest("Hello."))
            assert stream.pcm_format == expected
            await stream.aclose()


# --- which voices there are --------------------------------------------------------------------------------------


async def test_entries_that_are_no_voices_are_skipped() -> None:
    entries: list[Any] = [None, 7, True, ["alba"], "", {}, {"id": 3}, {"id": {"a": 1}}, "alba", {"name": "bruno"}]
    with SpeechEndpoint(
        listing=Behaviour.answering({"voices": [*entries, {"id": "cara", "language": []}]})
    ) as endpoint:
        async with engine_for(endpoint) as engine:
            voices = await engine.voices()
    assert [(voice.name, voice.language) for voice in voices] == [("alba", ""), ("bruno", ""), ("cara", "")]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"null", b"7", b'"alba"', b'{"voices": {"a": 1}}', b"[" * 200_000]
)
async def test_a_list_that_is_none_is_an_engine_error(body: bytes) -> None:
    with SpeechEndpoint(listing=Behaviour(body=body, content_type="application/json")) as endpoint:
        async with engine_for(endpoint) as engine:
            with pytest.raises(EngineError):
                await engine.voices()


# --- the way there -----------------------------------------------------------------------------------------------


async def spoken_over(engine: OpenAIEngine) -> tuple[float, bytes]:
    """Seconds that the connection took, and what came over it."""
    stream = await engine.open(SpeechRequest("Hello."))
    try:
        return stream.connect_s, b"".join([block async for block in stream])
    finally:
        await stream.aclose()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_connecting_takes_time_once_and_none_while_the_connection_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_tls: bool
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with SpeechEndpoint(tls=authority.server() if is_tls else None) as endpoint:
        async with engine_for(endpoint) as engine:
            first_s, first = await spoken_over(engine)
            second_s, second = await spoken_over(engine)
        assert endpoint.connections == 1
    assert 0 < first_s < 5
    assert second_s == 0
    assert first == second == spoken("Hello.")


async def test_a_connection_that_had_to_be_made_anew_has_its_own_time(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(), Behaviour(raw=b""))
    async with engine_for(speech_endpoint) as engine:
        await spoken_over(engine)
        again_s, again = await spoken_over(engine)
    assert again_s > 0
    assert again == spoken("Hello.")


async def test_a_list_is_asked_for_again_over_a_new_connection_too() -> None:
    with SpeechEndpoint(listing=Behaviour(raw=b"")) as endpoint:
        async with engine_for(endpoint) as engine:
            await spoken_over(engine)
            with pytest.raises(EngineError):
                await engine.voices()
        assert [exchange.connection for exchange in endpoint.requests] == [1, 1, 2]


# --- bounds ------------------------------------------------------------------------------------------------------


async def test_an_answer_that_dribbles_is_given_up_though_it_never_stalls() -> None:
    # 40 bytes a second, one after the other: the stall time-out never runs out.
    with SpeechEndpoint(Behaviour(pace=40 / 48_000, block_ms=0.01)) as endpoint:
        engine = OpenAIEngine(Endpoint(endpoint.base_url), audio_format="pcm", stall_s=1.0)
        with anyio.fail_after(20), pytest.raises(EngineStalled, match=r"next to nothing for 4 s"):
            await spoken_over(engine)
        await engine.aclose()


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_list_without_end_is_not_read_to_the_end(status: int) -> None:
    endless = Behaviour(status=status, body=b'[["alba"],' * 5_000, content_type="application/json", endless=True)
    with SpeechEndpoint(listing=endless) as endpoint:
        async with engine_for(endpoint) as engine:
            with pytest.raises(EngineError):
                await engine.voices()
            endpoint.wait_until(lambda: endpoint.open_connections == 0, 10)
        assert endpoint.requests[0].sent_bytes < 32 << 20


def test_an_address_of_ipv6_is_named_as_people_write_it() -> None:
    assert Endpoint("http://[::1]:8880/v1").host == "[::1]:8880"
    assert Endpoint("http://[::1]:8880/v1").is_local
