"""Everything that is refused is refused in OpenAI's shape, with the field that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.speech_server.service import SPEECH, Service
from voice_mcp.errors import CodecMissing
from voice_mcp.speech_server.errors import from_voice_error
from voice_mcp.speech_server.orders import MOST_CHARS
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.tone import ToneEngine

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(EspeakEngine(), ToneEngine()) as running:
        yield running


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "empty_string"),
        ({"input": " \n"}, "input", "empty_string"),
        ({"input": ["Hi."]}, "input", "invalid_type"),
        ({"input": "x" * (MOST_CHARS + 1)}, "input", "string_above_max_length"),
        ({"input": "Hi.", "voice": "allloy"}, "voice", "unknown_voice"),
        ({"input": "Hi.", "voice": "half a character: \ud83d"}, "voice", "unknown_voice"),
        ({"input": "Hi.", "voice": 7}, "voice", "invalid_type"),
        ({"input": "Hi.", "voice": {"id": 7}}, "voice", "invalid_type"),
        ({"input": "Hi.", "response_format": "m4a"}, "response_format", "invalid_value"),
        ({"input": "Hi.", "speed": 4.01}, "speed", "invalid_value"),
        ({"input": "Hi.", "speed": 0.2}, "speed", "invalid_value"),
        ({"input": "Hi.", "speed": float("nan")}, "speed", "invalid_value"),
        ({"input": "Hi.", "speed": "fast"}, "speed", "invalid_type"),
        ({"input": "Hi.", "speed": True}, "speed", "invalid_type"),
        ({"input": "Hi.", "model": 1}, "model", "invalid_type"),
        ({"input": "Hi.", "instructions": 1}, "instructions", "invalid_type"),
        ({"input": "Hi.", "stream_format": "sse"}, "stream_format", "unsupported_value"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(service: Service, fields: dict[str, Any], param: str, code: str) -> None:
    answer = service.order(**fields)
    assert answer.status == 400
    assert (answer.error["param"], answer.error["code"]) == (param, code)
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"Hi."', b"\xff\xfe", b"[" * 10_000])
def test_a_body_that_is_no_json_object_is_refused(service: Service, body: bytes) -> None:
    answer = service.ask("POST", SPEECH, body, JSON)
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_call_itself_json_is_refused(service: Service, media_type: str) -> None:
    answer = service.ask("POST", SPEECH, b'{"input": "Hi."}', {"Content-Type": media_type})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")


def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    answer = service.order(input="Hi.", instructions="x" * 65_536)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def test_the_longest_input_is_taken_however_it_is_written(service: Service) -> None:
    text = ("😀" * 63 + " ") * (MOST_CHARS // 64)
    assert len(text) == MOST_CHARS
    body = json.dumps({"input": text, "model": "tone", "speed": 4, "response_format": "pcm"}).encode()
    assert len(body) > 10 * MOST_CHARS
    answer = service.ask("POST", SPEECH, body, JSON)
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/pcm;rate=24000;channels=1")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/models/", 404, "unknown_url"),
        ("POST", "/v1/audio/transcriptions", 404, "unknown_url"),
        ("GET", SPEECH, 405, "method_not_allowed"),
        ("OPTIONS", SPEECH, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_served_is_refused(service: Service, method: str, path: str, status: int, code: str) -> None:
    answer = service.ask(method, path)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert ("allow" in answer.headers) is (status == 405)


def test_no_other_web_page_is_let_in(service: Service) -> None:
    answer = service.ask("GET", "/health", headers={"Origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_an_unknown_voice_is_refused_with_the_nearest_names(service: Service) -> None:
    assert "alloy" in service.order(input="Hi.", voice="alooy").error["message"]
    assert "en-us" in service.order(input="Hi.", voice="en-uss").error["message"]
    assert "/v1/audio/voices" in service.order(input="Hi.", voice="?").error["message"]
    assert "square" in service.order(input="Hi.", model="tone", voice="squares").error["message"]


def test_a_format_whose_library_is_missing_is_a_wrong_field() -> None:
    error = from_voice_error(CodecMissing("OGG needs a library."))
    assert (error.status, error.param, error.code) == (400, "response_format", "codec_missing")


def test_openais_client_understands_a_refusal(service: Service) -> None:
    with service.client() as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")
    assert (caught.value.param, caught.value.code) == ("voice", "unknown_voice")


def test_fields_that_openai_does_not_have_are_ignored(service: Service) -> None:
    fields = {"model": None, "voice": None, "speed": None, "lang_code": "a", "volume_multiplier": 2}
    assert service.order(input="Hi.", **fields).status == 200
