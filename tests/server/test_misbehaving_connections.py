"""Endpoints that cannot be connected to, or not safely, and connections that die: who speaks then, and what is told."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.behaviour import Behaviour, Framing
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from tests.support.pattern import spoken
from tests.support.ports import LOOPBACK, refusing_port, silent_port
from tests.support.speaking import answer_to, heard, house_of, said
from tests.support.tls import Authority, blunt_port
from voice_mcp.events import EventRecorder, EventType

pytestmark = pytest.mark.anyio

MESSAGE = "Every word of this is heard."
FRAMES = spoken(MESSAGE)
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def assert_told(answer: dict[str, Any], host: str, words: str, advice: str) -> None:
    assert answer["error"] == "engine_unreachable", answer
    assert answer["message"].startswith(f"{host} cannot be reached: ")
    assert words in answer["message"]
    assert advice in answer["hint"]


# --- no connection ------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_told_in_words(tmp_path: Path) -> None:
    with refusing_port() as port:
        answer = await said(house_of(tmp_path, f"http://{LOOPBACK}:{port}/v1"), MESSAGE)
    assert_told(answer, f"{LOOPBACK}:{port}", "connection refused", "is running")


async def test_a_name_that_nobody_has_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    answer = await said(house_of(tmp_path, "http://speech.invalid/v1"), MESSAGE)
    assert_told(answer, "speech.invalid", "no address is known for that name", "VOICEMODE_TTS_BASE_URLS")


async def test_a_tls_handshake_that_never_ends_costs_three_seconds_and_not_a_word(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    events = EventRecorder()
    with silent_port() as port:
        house = house_of(tmp_path, f"https://{LOOPBACK}:{port}/v1", speech_endpoint, events=events)
        answer = await said(house, MESSAGE)
    assert heard(answer) == FRAMES
    assert f"{LOOPBACK}:{port} cannot be reached: no connection within 3 s." in answer["note"]
    asked, asked_next = events.of(EventType.TTS_REQUEST)
    assert (asked_next.timestamp - asked.timestamp).total_seconds() < 6


# --- TLS ----------------------------------------------------------------------------------------------------------


async def test_a_certificate_of_a_known_authority_is_fine_also_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with SpeechEndpoint(tls=authority.server()) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
    assert heard(answer) == FRAMES


@pytest.mark.parametrize(
    ("server", "is_known", "words", "advice"),
    [
        (Authority.server, False, "unable to get local issuer", "SSL_CERT_FILE"),
        (Authority.signed_by_itself, False, "self-signed", "SSL_CERT_FILE"),
        (lambda authority: authority.server(expired=True), True, "expired", "renewed"),
        (lambda authority: authority.server("elsewhere.example"), True, "not valid for '127.0.0.1'", "the name"),
    ],
    ids=["unknown authority", "self-signed", "expired", "another name"],
)
async def test_a_certificate_that_cannot_be_trusted_costs_not_a_word_and_sends_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    authority: Authority,
    speech_endpoint: SpeechEndpoint,
    server: Callable[[Authority], ssl.SSLContext],
    is_known: bool,
    words: str,
    advice: str,
) -> None:
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with SpeechEndpoint(tls=server(authority)) as bad:
        failed = await said(house_of(tmp_path / "alone", bad), MESSAGE)
        answer = await said(house_of(tmp_path / "two", bad, speech_endpoint), MESSAGE)
        assert bad.requests == []
    assert_told(failed, bad.host, f"its certificate is not accepted ({failed['message'].partition('(')[2]}", advice)
    assert words in failed["message"]
    assert failed["message"] in answer["note"]
    assert heard(answer) == FRAMES


async def test_plain_http_where_tls_was_expected_is_told_with_what_to_change(tmp_path: Path) -> None:
    with blunt_port(BAD_REQUEST) as port:
        answer = await said(house_of(tmp_path, f"https://{LOOPBACK}:{port}/v1"), MESSAGE)
    assert_told(answer, f"{LOOPBACK}:{port}", "does not speak TLS", "begin with http://")


async def test_tls_where_plain_http_was_expected_is_told_with_what_to_change(
    tmp_path: Path, authority: Authority
) -> None:
    with SpeechEndpoint(tls=authority.server()) as endpoint:
        answer = await said(house_of(tmp_path, f"http://{endpoint.host}/v1"), MESSAGE)
        assert endpoint.requests == []
    assert answer["message"] == f"{endpoint.host} closed the connection without an answer."
    assert "https://" in answer["hint"]


@pytest.mark.parametrize("cut_cleanly", [False, True])
async def test_a_tls_connection_that_breaks_off_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, cut_cleanly: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with SpeechEndpoint(tls=authority.server()) as endpoint:
        endpoint.then(Behaviour(framing=Framing.LENGTH, cut_after_bytes=20_001, cut_cleanly=cut_cleanly))
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
        assert len(endpoint.speech) == 2
    assert heard(answer) == FRAMES


# --- connections that were kept -----------------------------------------------------------------------------------


HANG_UP = Behaviour(raw=b"")
COMPLETE = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: %d\r\n\r\n%b" % (len(FRAMES), FRAMES)


async def test_a_kept_connection_that_is_dead_when_it_is_used_costs_nothing(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    events = EventRecorder()
    speech_endpoint.then(Behaviour(), HANG_UP)
    messages = ("This opens a connection.", "This finds it dead.", "And this has a new one.")
    answers = await answer_to(house_of(tmp_path, speech_endpoint, events=events), *messages)
    assert [heard(answer) for answer in answers] == [spoken(message) for message in messages]
    assert [exchange.connection for exchange in speech_endpoint.speech] == [1, 1, 2, 2]
    assert events.of(EventType.TTS_ERROR) == []
    assert not any("note" in answer for answer in answers)


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(Behaviour(raw=COMPLETE))
    first, second = await answer_to(house_of(tmp_path, speech_endpoint), MESSAGE, "And this has a new one.")
    assert heard(first) == FRAMES
    assert heard(second) == spoken("And this has a new one.")
    assert [exchange.connection for exchange in speech_endpoint.speech] == [1, 2]


async def test_a_new_connection_that_is_closed_without_an_answer_is_a_failure_at_the_second_time(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(Behaviour())
    speech_endpoint.always(HANG_UP)
    first, second = await answer_to(house_of(tmp_path, speech_endpoint), MESSAGE, MESSAGE)
    assert heard(first) == FRAMES
    assert second["error"] == "engine_unreachable"
    assert [exchange.connection for exchange in speech_endpoint.speech] == [1, 1, 2, 3]


# --- dead air -----------------------------------------------------------------------------------------------------


async def test_a_stall_costs_its_time_out_and_one_request(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    events = EventRecorder()
    speech_endpoint.then(Behaviour(stall_after_bytes=20_001))
    house = house_of(tmp_path, speech_endpoint, events=events, stream_stall_timeout=1.0)
    assert heard(await said(house, MESSAGE)) == FRAMES
    stalled, asked_again = speech_endpoint.speech
    assert stalled.first_byte_s is not None
    assert asked_again.arrived_s - stalled.first_byte_s < 1.0 + 2.0


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nowhere/at/all.pem"), ("ALL_PROXY", "foo://somewhere:1")]
)
async def test_an_environment_that_allows_no_request_costs_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    house = make_house(tmp_path, tts_engine="auto", tts_base_urls=("https://voices.invalid/v1",))
    answer = await said(house, MESSAGE)

    assert answer["engine"] == "espeak"
    assert "voices.invalid cannot be asked" in answer["note"]
