"""Whose key goes where: never to a URL that a project names, never in the open, never on to another host."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult
from pydantic import SecretStr

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from voice_mcp.app import App
from voice_mcp.errors import SettingsError
from voice_mcp.openai_client import Endpoint
from voice_mcp.openai_client.endpoints import listening_endpoints, speech_endpoints, usable
from voice_mcp.server import create_server
from voice_mcp.settings import Settings, load_settings

pytestmark = pytest.mark.anyio

KEY = "sk-planted-corporate-key"


async def say(house: App, message: str = "Hello there.") -> CallToolResult:
    async with Client(create_server(house)) as client:
        with anyio.fail_after(20):
            return await client.call_tool("speak", {"message": message})


# --- a project's URLs, the user's keys ---------------------------------------------------------------------------


async def test_a_projects_endpoint_is_asked_without_the_users_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech_endpoint: SpeechEndpoint
) -> None:
    project = tmp_path / ".env"
    project.write_text(f"VOICEMODE_TTS_BASE_URLS={speech_endpoint.base_url}\n")
    monkeypatch.setenv("VOICEMODE_TTS_API_KEYS", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "file")
    monkeypatch.setenv("VOICEMODE_BASE_DIR", str(tmp_path / "root"))

    await say(App(load_settings(project, tmp_path / "home.env").settings))

    assert [exchange.authorization for exchange in speech_endpoint.speech] == [None]


# --- in the open -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://api.openai.com/v1", "https://api.openai.com:8443/v1", "https://api.openai.com.example.net/v1"]
)
def test_openais_key_goes_to_openai_over_https_alone(url: str) -> None:
    settings = Settings(tts_base_urls=(url,), openai_api_key=SecretStr(KEY))

    assert [endpoint.api_key for endpoint in speech_endpoints(settings)] == [None]


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://API.OpenAI.com:443/v1"])
def test_openai_is_known_under_every_spelling_of_its_address(url: str) -> None:
    settings = Settings(tts_base_urls=(url,), openai_api_key=SecretStr(KEY))
    (endpoint,) = usable(speech_endpoints(settings), offline=False)

    assert (endpoint.api_key, endpoint.is_openai) == (KEY, True)
    assert usable(speech_endpoints(Settings(tts_base_urls=(url,))), offline=False) == []


@pytest.mark.parametrize("url", ["http://voices.example.com/v1", "http://192.168.0.7:8880/v1"])
def test_a_key_that_everybody_on_the_way_could_read_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        make_house(tmp_path, tts_engine="auto", tts_base_urls=(url,), tts_api_keys=(KEY,))

    assert url in refused.value.message
    assert "https://" in refused.value.hint
    assert KEY not in refused.value.advice


def test_without_a_key_or_on_this_machine_plain_http_will_do() -> None:
    urls = ("http://192.168.0.7:8880/v1", "http://127.0.0.1:8880/v1", "http://localhost:9/v1", "https://one.example/v1")
    settings = Settings(tts_base_urls=urls, tts_api_keys=tuple(SecretStr(key) for key in ("", "one", "two", "three")))

    assert [endpoint.api_key for endpoint in speech_endpoints(settings)] == [None, "one", "two", "three"]


def test_the_same_holds_for_what_is_heard(tmp_path: Path) -> None:
    urls = ("https://api.openai.com/v1", "http://127.0.0.1:2022/v1", "http://192.168.0.7:2022/v1")
    keys = tuple(SecretStr(key) for key in ("", "one"))
    endpoints = listening_endpoints(Settings(stt_base_urls=urls, stt_api_keys=keys, openai_api_key=SecretStr(KEY)))
    assert [endpoint.api_key for endpoint in endpoints] == [KEY, "one", None]
    with pytest.raises(SettingsError) as refused:
        make_house(tmp_path, stt_base_urls=urls[2:], stt_api_keys=(KEY,))
    assert "VOICEMODE_STT_API_KEYS" in refused.value.message
    assert "VOICEMODE_STT_BASE_URLS" in refused.value.hint
    assert KEY not in refused.value.advice


def test_an_endpoint_never_shows_its_key() -> None:
    assert KEY not in repr(Endpoint("https://one.example/v1", KEY))


# --- on to another host ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_not_followed_and_its_target_is_named(tmp_path: Path, status: int, offline: bool) -> None:
    with SpeechEndpoint() as elsewhere:
        redirect = Behaviour.redirecting(f"{elsewhere.base_url}/audio/speech", status)
        with SpeechEndpoint(redirect) as endpoint:
            house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(endpoint.base_url,), offline=offline)
            result = await say(house)
    assert elsewhere.requests == []
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"] == "engine_refused"
    assert elsewhere.host in result.structured_content["message"]


@pytest.mark.parametrize("location", ["", "http://[half", "http://user:secret@evil.example/", "/v2/audio/speech"])
async def test_a_redirect_to_anywhere_is_a_refusal(tmp_path: Path, location: str) -> None:
    with SpeechEndpoint(Behaviour.redirecting(location)) as endpoint:
        result = await say(make_house(tmp_path, tts_engine="openai", tts_base_urls=(endpoint.base_url,)))
    assert result.structured_content is not None
    assert result.structured_content["error"] == "engine_refused"
    assert "secret" not in result.structured_content["message"]
