"""`voice-mcp doctor` and endpoints that are not as they should be: what is wrong, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.tls import Authority


def endpoint_check(base_dir: Path, base_url: str, *, exit_code: int) -> dict[str, Any]:
    """What the doctor says of the only endpoint."""
    settings = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_TTS_BASE_URLS": base_url, "VOICEMODE_AUDIO_OUTPUT": "null"}
    done = voice_mcp(base_dir, "doctor", "--json", **settings)
    assert done.returncode == exit_code, done.stdout + done.stderr
    found: dict[str, Any] = next(entry for entry in json.loads(done.stdout)["checks"] if entry["name"] == "endpoint")
    return found


def test_an_endpoint_that_is_busy_is_a_warning_with_its_reason_and_its_time(tmp_path: Path) -> None:
    busy = Behaviour.refusing(503, "Loading the model.", retry_after="20")
    with SpeechEndpoint(listing=busy) as endpoint:
        found = endpoint_check(tmp_path, endpoint.base_url, exit_code=0)
    assert found["state"] == "warning"
    assert "Loading the model." in found["detail"]
    assert "left alone for 20 s" in found["detail"]


@pytest.mark.parametrize("listing", [Behaviour.web_page(), Behaviour.web_page(404), Behaviour(body=b"OK")])
def test_an_address_where_no_models_are_listed_is_a_warning_that_names_the_likely_mistake(
    tmp_path: Path, listing: Behaviour
) -> None:
    with SpeechEndpoint(listing=listing) as endpoint:
        found = endpoint_check(tmp_path, endpoint.base_url, exit_code=0)
    assert found["state"] == "warning"
    assert found["detail"] == f"{endpoint.host} answers, but lists no models."
    assert "/v1" in found["hint"]


def test_a_certificate_that_is_not_trusted_is_broken_and_says_how_it_could_be(tmp_path: Path) -> None:
    with SpeechEndpoint(tls=Authority(tmp_path).server()) as endpoint:
        found = endpoint_check(tmp_path / "data", endpoint.base_url, exit_code=1)
    assert found["state"] == "broken"
    assert "certificate" in found["detail"]
    assert "SSL_CERT_FILE" in found["hint"]


def test_an_endpoint_that_never_answers_is_broken_after_the_time_out(tmp_path: Path) -> None:
    with SpeechEndpoint(listing=Behaviour(never_answer=True)) as endpoint:
        found = endpoint_check(tmp_path, endpoint.base_url, exit_code=1)
    assert found["state"] == "broken"
    assert "did not answer within 3 s" in found["detail"]
