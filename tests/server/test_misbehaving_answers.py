"""Endpoints that answer with something else than speech: who is asked next, what the user is told, and for how long."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.pattern import spoken
from tests.support.speaking import LONGEST_S, answer_to, heard, house_of, said
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

MESSAGE = "Every word of this is heard."
FRAMES = spoken(MESSAGE)
STALL_S = 1.0
OK = b"HTTP/1.1 200 OK\r\n"


async def status_of(endpoint: SpeechEndpoint, base_dir: Path) -> dict[str, Any]:
    """What ``voice://status`` says of an endpoint after it was asked once."""
    async with Client(create_server(house_of(base_dir, endpoint))) as client:
        with anyio.fail_after(LONGEST_S):
            await client.call_tool("speak", {"message": MESSAGE})
            record = await client.read_resource("voice://status")
    (engine,) = json.loads(record.contents[0].text)["engines"]  # type: ignore[union-attr]
    assert isinstance(engine, dict)
    return engine


# --- it says no ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "code", "words", "advice"),
    [
        (Behaviour.refusing(400, "Too long."), "engine_refused", '400: "Too long."', "the model"),
        (Behaviour.refusing(401), "engine_refused", "refused the key (401)", "VOICEMODE_TTS_API_KEYS"),
        (Behaviour.refusing(403), "engine_refused", "refused the key (403)", "VOICEMODE_TTS_API_KEYS"),
        (Behaviour.refusing(404), "engine_refused", "404", "ends in /v1"),
        (Behaviour.web_page(404), "engine_refused", "404", "ends in /v1"),
        (Behaviour(status=304, body=b""), "engine_refused", "304", "the model"),
        (Behaviour.refusing(429, retry_after="7"), "engine_busy", "left alone for 7 s", "Try again"),
        (Behaviour.refusing(500, "Out of memory."), "engine_busy", '500: "Out of memory."', "Try again"),
        (Behaviour.web_page(503), "engine_busy", "503", "Try again"),
        (Behaviour(raw=b"HTTP/1.1 999 Go away\r\n\r\n"), "engine_busy", "999", "Try again"),
        (Behaviour(raw=OK + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n"), "engine_error", "is not HTTP", "its port"),
        (Behaviour(raw=OK + b"X-Long-Name: y\r\n" * 10_000 + b"\r\n"), "engine_error", "is not HTTP", "its port"),
        (Behaviour(raw=OK + b"Content-Length: -5\r\n\r\n"), "engine_error", "is not HTTP", "its port"),
        (Behaviour(raw=b"220 mail.example ESMTP\r\n\r\n"), "engine_error", "is not HTTP", "its port"),
        (Behaviour(raw=b""), "engine_unreachable", "closed the connection without an answer", "https://"),
        (Behaviour(raw=OK), "engine_unreachable", "closed the connection without an answer", "https://"),
    ],
    ids=lambda value: f"{value[:30]}" if isinstance(value, str) else "",
)
async def test_an_answer_that_is_no_speech_is_told_with_its_host_and_what_to_do(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, behaviour: Behaviour, code: str, words: str, advice: str
) -> None:
    with SpeechEndpoint(behaviour) as bad:
        failed = await said(house_of(tmp_path / "alone", bad), MESSAGE)
        first, second = await answer_to(house_of(tmp_path / "two", bad, speech_endpoint), MESSAGE, MESSAGE)
        # Whoever hangs up is asked once more where there is nobody else.
        alone = 2 if "closed the connection" in words else 1
        assert len(bad.speech) == alone + 1, ("who has failed rests", failed, first, second)
    assert failed["error"] == code
    assert failed["message"].startswith(bad.host)
    assert words in failed["message"]
    assert advice in failed["hint"]
    assert failed["message"] in first["note"]
    assert heard(first) == heard(second) == FRAMES


@pytest.mark.parametrize("behaviour", [Behaviour(never_answer=True), Behaviour(slow_headers_s=300.0)])
async def test_an_answer_that_does_not_come_is_given_up_and_the_next_one_speaks(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, behaviour: Behaviour
) -> None:
    with SpeechEndpoint(behaviour) as hung:
        answer = await said(house_of(tmp_path, hung, speech_endpoint, stream_stall_timeout=STALL_S), MESSAGE)
        hung.wait_until(lambda: hung.open_connections == 0, 10)
    assert heard(answer) == FRAMES
    assert f"{hung.host} did not answer within {4 * STALL_S:g} s." in answer["note"]


# --- it sends us elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_on_the_same_host_is_told_with_the_address_it_leads_to(tmp_path: Path, status: int) -> None:
    with SpeechEndpoint(Behaviour.redirecting("/v2/audio/speech?token=secret", status)) as endpoint:
        failed = await said(house_of(tmp_path, endpoint), MESSAGE)
        assert len(endpoint.requests) == 1
    assert f'redirects to "http://{endpoint.host}/v2/audio/speech"' in failed["message"]
    assert "secret" not in failed["message"]
    assert "VOICEMODE_TTS_BASE_URLS" in failed["hint"]


async def test_a_redirect_in_a_circle_is_asked_once_and_the_next_one_speaks(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    with SpeechEndpoint(Behaviour.redirecting("/v1/audio/speech", 302)) as circle:
        answer = await said(house_of(tmp_path, circle, speech_endpoint), MESSAGE)
        assert len(circle.requests) == 1
    assert heard(answer) == FRAMES
    assert "redirects" in answer["note"]


# --- it says when to come back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "rest_s"),
    [("120", 120), ("2.5", 2.5), ("86400", 900), ("-5", 30), ("soon", 30), ("nan", 30), ("inf", 30), ("", 30)],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_an_endpoint_rests_as_long_as_it_asks_if_that_makes_sense(
    tmp_path: Path, status: int, retry_after: str, rest_s: float
) -> None:
    with SpeechEndpoint(Behaviour.refusing(status, retry_after=retry_after)) as endpoint:
        engine = await status_of(endpoint, tmp_path)
    assert engine["state"] == "resting"
    assert engine["asked_again_in_s"] == pytest.approx(rest_s, abs=2.4)
    assert engine["problem"].startswith(f"{endpoint.host} answered {status}")


async def test_a_moment_to_come_back_is_read_by_the_servers_own_clock(tmp_path: Path) -> None:
    wrong = datetime.now(UTC) + timedelta(days=400)
    headers = {"Date": format_datetime(wrong), "Retry-After": format_datetime(wrong + timedelta(seconds=100))}
    with SpeechEndpoint(Behaviour.answering({}, status=503, headers=headers)) as endpoint:
        engine = await status_of(endpoint, tmp_path)
    assert engine["asked_again_in_s"] == pytest.approx(100, abs=5)


async def test_who_asks_for_no_rest_is_asked_again_at_once(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    with SpeechEndpoint(Behaviour.refusing(503, retry_after="0")) as busy:
        busy.then(Behaviour.refusing(503, retry_after="0"))
        busy.always(Behaviour())
        first, second = await answer_to(house_of(tmp_path, busy, speech_endpoint), MESSAGE, MESSAGE)
    assert (first["engine"], second["engine"]) == (speech_endpoint.host, busy.host)
    assert heard(first) == heard(second) == FRAMES
