"""What looks like a secret is told to engines on this machine, and to no other.

The other machine is a proxy's: HTTP_PROXY sends what is meant for it to an endpoint here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in, exchanges, logged_events
from tests.support.speaking import answer_to, house_of, said
from voice_mcp.core.timeline import CHARS_PER_SECOND, SLOW_SPEECH
from voice_mcp.core.words import STAND_IN
from voice_mcp.events import EventRecorder
from voice_mcp.server import create_server
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import phrase_folder

pytestmark = pytest.mark.anyio

SECRET = "ghp" + "_" + "x7Qz" * 9
MESSAGE = f"Your new token is {SECRET}. Keep it well."
LOUD = b"\x00\x20" * 4_800
"""A fifth of a second: longer than any letter takes."""
ELSEWHERE = "http://voices.example/v1"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeechEndpoint]:
    """What is asked for at ``ELSEWHERE`` comes here."""
    with SpeechEndpoint() as endpoint:
        monkeypatch.setenv("HTTP_PROXY", endpoint.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield endpoint


def asked(endpoint: SpeechEndpoint) -> str:
    return " ".join(exchange.text for exchange in endpoint.speech)


async def test_another_machine_gets_a_stand_in_and_the_result_says_so(
    tmp_path: Path, elsewhere: SpeechEndpoint
) -> None:
    answer = await said(house_of(tmp_path, ELSEWHERE), MESSAGE)
    assert asked(elsewhere) == f"Your new token is {STAND_IN}. Keep it well."
    assert SECRET not in b"".join(exchange.request_body for exchange in elsewhere.requests).decode()
    assert answer["status"] == "saved"
    assert answer["note"] == f"What looks like a secret was not sent to voices.example: it said {STAND_IN!r} instead."
    assert exchanges(tmp_path)[0]["text"] == MESSAGE


async def test_this_machine_gets_the_words_as_they_are(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, elsewhere: SpeechEndpoint
) -> None:
    answer = await said(house_of(tmp_path, speech_endpoint, ELSEWHERE), MESSAGE)
    assert STAND_IN not in asked(speech_endpoint)
    assert "note" not in answer
    assert elsewhere.requests == []


async def test_the_tone_is_guarded_as_the_words_are(tmp_path: Path, elsewhere: SpeechEndpoint) -> None:
    async with Client(create_server(house_of(tmp_path, ELSEWHERE))) as client:
        await client.call_tool("speak", {"message": "Hello.", "instructions": f"As if {SECRET} were a joke."})
    assert elsewhere.speech[0].json["instructions"] == f"As if {STAND_IN} were a joke."


async def test_what_holds_a_secret_is_kept_in_no_cache(tmp_path: Path, elsewhere: SpeechEndpoint) -> None:
    await answer_to(house_of(tmp_path, ELSEWHERE), *["Password: hunter2"] * 3)
    assert len(elsewhere.speech) == 3
    assert not list(phrase_folder(DataRoot(tmp_path)).glob("*.phrase"))


async def test_the_event_log_does_not_know_it(tmp_path: Path, elsewhere: SpeechEndpoint) -> None:
    await said(house_of(tmp_path, ELSEWHERE, debug=True), MESSAGE)
    assert logged_events(tmp_path)
    assert SECRET.encode() not in everything_in(tmp_path / "logs" / "events")


async def test_an_engine_that_goes_on_elsewhere_goes_on_from_the_word_and_without_the_secret(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, elsewhere: SpeechEndpoint
) -> None:
    """Both have the same model and voice: what they were told differs, so the second must not skip frames."""
    speech_endpoint.then(*[Behaviour(cut_after_bytes=60_000)] * 2)
    answer = await said(house_of(tmp_path, speech_endpoint, ELSEWHERE), MESSAGE)
    assert answer["status"] == "saved"
    assert SECRET not in asked(elsewhere)
    assert asked(elsewhere).endswith("Keep it well.")


@pytest.mark.parametrize(("received_s", "goes_on_with"), [(1, "password is"), (2, "{}, so"), (4, "well")])
async def test_where_the_other_machine_breaks_off_this_one_goes_on_at_the_right_word(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, elsewhere: SpeechEndpoint, received_s: int, goes_on_with: str
) -> None:
    """What was said there is much shorter than what it stands for."""
    password = "z9" * 10
    sentence = "The password is {}, so keep it well."
    elsewhere.always(
        Behaviour(cut_after_bytes=received_s * 48_000, cut_cleanly=True, audio=lambda text: LOUD * len(text))
    )
    await said(house_of(tmp_path, ELSEWHERE, speech_endpoint), sentence.format(password))
    rest = asked(speech_endpoint)
    surely_said = sentence.format(STAND_IN)[: round(received_s * CHARS_PER_SECOND * SLOW_SPEECH)]
    assert sentence.format(password).endswith(rest)
    assert rest.strip().startswith(goes_on_with.format(password))
    assert goes_on_with.format(STAND_IN) not in surely_said


async def test_without_another_machine_nothing_is_looked_for(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    house = house_of(tmp_path, speech_endpoint, events=EventRecorder())
    assert not house.speaker.discretion.is_needed
    await house.aclose()
