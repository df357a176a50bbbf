"""One message through the real front door, and the samples that were heard of it."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from voice_mcp.app import App
from voice_mcp.server import create_server

LONGEST_S = 30.0


def house_of(base_dir: Path, *endpoints: SpeechEndpoint | str, **given: Any) -> App:
    """A house that speaks through these endpoints alone, and keeps what is heard in a file."""
    urls = tuple(where if isinstance(where, str) else where.base_url for where in endpoints)
    return make_house(base_dir, **{"tts_engine": "openai", "tts_base_urls": urls, **given})


async def answer_to(house: App, *messages: str) -> list[dict[str, Any]]:
    """Say the messages one after the other; what each call's structured result is."""
    answers = []
    async with Client(create_server(house)) as client:
        for message in messages:
            with anyio.fail_after(LONGEST_S):
                result = await client.call_tool("speak", {"message": message})
            assert result.structured_content is not None, result
            answers.append(result.structured_content)
    return answers


async def said(house: App, message: str) -> dict[str, Any]:
    """Say one message; what the call's structured result is, an error included."""
    (answer,) = await answer_to(house, message)
    return answer


def heard(answer: dict[str, Any]) -> bytes:
    """The frames that were heard, in order."""
    assert "audio_path" in answer, answer
    with wave.open(answer["audio_path"], "rb") as saved:
        return saved.readframes(saved.getnframes())


def heard_rate_hz(answer: dict[str, Any]) -> int:
    """At which rate."""
    with wave.open(answer["audio_path"], "rb") as saved:
        return saved.getframerate()
