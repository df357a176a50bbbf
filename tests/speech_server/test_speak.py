"""The project's own `speak` plays from the service as from any endpoint."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.speech_server.service import LONG, LONGEST_S, Service
from tests.support.house import make_house
from voice_mcp.app import App
from voice_mcp.server import create_server
from voice_mcp.tts.espeak import EspeakEngine

pytestmark = pytest.mark.anyio

MESSAGE = f"It begins. {LONG[:400]} And it *ends*; here, e.g., in the middle - or not."


async def said(house: App, message: str = MESSAGE) -> dict[str, Any]:
    async with Client(create_server(house)) as client:
        with anyio.fail_after(LONGEST_S):
            result = await client.call_tool("speak", {"message": message})
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


def frames(result: dict[str, Any]) -> bytes:
    with wave.open(result["audio_path"]) as saved:
        assert saved.getframerate() == 24_000
        data: bytes = saved.readframes(saved.getnframes())
    return data


async def test_speak_gets_every_sample_of_the_engine_behind_the_service(tmp_path: Path) -> None:
    with Service() as service:
        house = make_house(tmp_path / "through", tts_engine="openai", tts_base_urls=(service.base_url,))
        through = await said(house)
    straight = await said(make_house(tmp_path / "straight"))
    assert through["engine"] == f"127.0.0.1:{service.port}"
    assert frames(through) == frames(straight)


@pytest.mark.parametrize("format", ["wav", "mp3", "aac", "flac", "opus"])
async def test_speak_plays_every_format(tmp_path: Path, format: str) -> None:
    with Service() as service:
        urls = (service.base_url,)
        house = make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_audio_format=format)
        result = await said(house, "Hello there.")
    straight = await said(make_house(tmp_path / "straight"), "Hello there.")
    assert result["duration_s"] == pytest.approx(straight["duration_s"], abs=0.15)


async def test_speak_is_told_which_voices_there_are_and_gets_the_one_it_asks_for(tmp_path: Path) -> None:
    with Service(EspeakEngine()) as service:
        urls = (service.base_url,)
        result = await said(
            make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_voices=("no_one", "nova"))
        )
    assert result["voice"] == "nova"


async def test_a_service_with_a_token_takes_it_as_the_key_of_the_endpoint(tmp_path: Path) -> None:
    with Service(token="a-long-random-text") as service:
        urls, keys = (service.base_url,), ("a-long-random-text",)
        result = await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_api_keys=keys))
    assert result["status"] == "saved"
