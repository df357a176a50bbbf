"""Who is let in: this machine, and whoever knows the token."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import openai
import pytest

from tests.speech_server.service import Service
from voice_mcp.errors import InvalidInput, SettingsError, VoiceError
from voice_mcp.speech_server.run import listen

TOKEN = "a long random text, with spaces and an ü"
PLAIN_TOKEN = "a-long-random-text"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Service]:
    with Service(token=PLAIN_TOKEN) as running:
        yield running


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8880", "localhost", "localhost:1", "[::1]", "[::1]:80"])
def test_names_of_this_machine_are_taken(service: Service, host: str) -> None:
    assert service.ask("GET", "/health", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:8880", "localhost.example.org", "192.168.0.2", "0.0.0.0", "[::1", "", "::1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(service: Service, host: str) -> None:
    answer = service.ask("GET", "/health", headers={"Host": host})
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {PLAIN_TOKEN}", PLAIN_TOKEN, "Bearer \xfc"]
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere"])
def test_without_the_token_nothing_is_told(locked: Service, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = locked.ask("GET", path, headers=headers)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_is_the_api_key_of_openais_client(locked: Service) -> None:
    with locked.client(PLAIN_TOKEN) as client:
        assert client.audio.speech.create(model="tone", voice="alloy", input="Hi.").read()
    with locked.client("sk-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.audio.speech.create(model="tone", voice="alloy", input="Hi.")


def test_a_token_may_hold_any_characters() -> None:
    with Service(token=TOKEN) as service:
        headers = {"Authorization": f"bearer {TOKEN}".encode().decode("latin-1")}
        assert service.ask("GET", "/health", headers=headers).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "example.org"])
def test_other_machines_are_not_served_without_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="no token"), Service(host=host):
        pass


def test_with_a_token_other_machines_are_served_by_any_name() -> None:
    with Service(host="0.0.0.0", token=PLAIN_TOKEN) as service:
        headers = {"Host": "voice.example.org", "Authorization": f"Bearer {PLAIN_TOKEN}"}
        assert service.ask("GET", "/health", headers=headers).status == 200


def test_localhost_is_every_address_it_has() -> None:
    with Service(host="localhost") as service:
        assert service.ask("GET", "/health").status == 200


def test_what_is_sent_does_not_wait_for_more() -> None:
    with ExitStack() as stack:
        (listener,) = [stack.enter_context(listener) for listener in listen("127.0.0.1", 0)]

        async def accepted() -> int:
            options: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                ours = writer.get_extra_info("socket")
                options.set_result(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                writer.close()

            async with asyncio.timeout(5), await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await options

        assert asyncio.run(accepted()) != 0, "small blocks of sound would arrive in clumps of 40 ms"


def test_a_port_in_use_is_named(service: Service) -> None:
    with pytest.raises(InvalidInput, match=f"Port {service.port} of 127.0.0.1 is in use"):
        listen("127.0.0.1", service.port)


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(VoiceError, match="192.0.2.1"):
        listen("192.0.2.1", 0)
