"""Audio leaves while it is made, no faster than it is taken, and for nobody who has left."""

from __future__ import annotations

import socket

import httpx2
import openai
import pytest

from tests.speech_server.engines import WatchedEngine
from tests.speech_server.service import LONG, LONGEST_S, Service
from tests.support.waiting import eventually
from voice_mcp.errors import EngineBusy, EngineError, EngineMissing, VoiceError
from voice_mcp.speech_server.orders import MEDIA_TYPES

AT_REAL_TIME = 1.0
SOME_BYTES = 3000
"""The answer's head, the header of any format, and half a second of audio."""
BYTES_OF_LONG = 80 * 48_000
"""Less than it is."""


@pytest.mark.parametrize("format", sorted(MEDIA_TYPES))
def test_the_first_bytes_arrive_while_the_text_is_still_being_spoken(format: str) -> None:
    engine = WatchedEngine(4 * AT_REAL_TIME)
    with Service(engine) as service, service.begin(input=LONG, response_format=format) as client:
        arrived_bytes = 0
        while arrived_bytes < SOME_BYTES:
            arrived_bytes += len(client.recv(4096))
        assert 0 < engine.taken_bytes < BYTES_OF_LONG
        service.wait_for(running=1)


def test_a_client_that_leaves_stops_the_voice() -> None:
    engine = WatchedEngine(AT_REAL_TIME)
    with Service(engine) as service:
        with service.begin(input=LONG, response_format="pcm") as client:
            assert client.recv(1)
        service.wait_for(running=0)
        assert engine.opened == engine.closed == 1


def test_openais_client_can_leave_in_the_middle() -> None:
    engine = WatchedEngine(AT_REAL_TIME)
    with Service(engine) as service, service.client() as client:
        with client.audio.speech.with_streaming_response.create(model="tone", voice="alloy", input=LONG) as response:
            assert next(response.iter_bytes())
        service.wait_for(running=0)
        assert engine.opened == engine.closed == 1


def test_a_client_that_leaves_the_queue_is_forgotten() -> None:
    with Service(WatchedEngine(AT_REAL_TIME), concurrency=1) as service, service.begin(input=LONG):
        service.wait_for(running=1)
        with service.begin(input=LONG):
            service.wait_for(running=1, waiting=1)
        service.wait_for(running=1, waiting=0)


def test_the_engine_is_read_no_faster_than_the_client_takes_and_a_client_that_takes_nothing_loses_its_turn() -> None:
    engine = WatchedEngine()
    order = {"input": LONG * 2, "response_format": "pcm", "speed": 0.5}
    with Service(engine, client_stall_s=0.3) as service, service.begin(receive_buffer_bytes=4096, **order) as client:
        eventually(lambda: engine.opened, LONGEST_S)
        service.wait_for(running=0)
        # What it read is what sockets hold; without that brake it would have read all there is.
        assert 0 < engine.taken_bytes < 2 * 2 * BYTES_OF_LONG
        assert engine.opened == engine.closed
        assert not _everything(client).endswith(b"0\r\n\r\n")


def test_more_than_may_wait_are_told_to_come_back() -> None:
    with (
        Service(WatchedEngine(AT_REAL_TIME), concurrency=1, queue=1) as service,
        service.begin(input=LONG),
        service.client() as client,
    ):
        service.wait_for(running=1)
        with service.begin(input=LONG):
            service.wait_for(running=1, waiting=1)
            answer = service.order(input="And me?")
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            assert (answer.error["type"], answer.error["code"]) == ("server_error", "busy")
            with pytest.raises(openai.InternalServerError, match="wait"):
                client.audio.speech.create(model="tone", voice="alloy", input="And me?")


def test_who_waits_gets_a_turn_when_another_leaves() -> None:
    with Service(WatchedEngine(AT_REAL_TIME), concurrency=1) as service:
        with service.begin(input=LONG):
            service.wait_for(running=1)
            second = service.begin(input="Short.", response_format="pcm")
            service.wait_for(running=1, waiting=1)
        with second:
            eventually(lambda: second.recv(4096).endswith(b"0\r\n\r\n"), LONGEST_S)
        service.wait_for(running=0, waiting=0)


def test_several_are_spoken_at_a_time() -> None:
    with (
        Service(WatchedEngine(AT_REAL_TIME), concurrency=2) as service,
        service.begin(input=LONG) as first,
        service.begin(input=LONG) as second,
    ):
        assert first.recv(1)
        assert second.recv(1)
        service.wait_for(running=2, waiting=0)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (EngineError("The voice broke."), 500),
        (EngineMissing("It is not installed.", hint="Install it."), 500),
        (EngineBusy("Not now."), 503),
    ],
)
@pytest.mark.parametrize("good_bytes", [None, 0])
def test_an_engine_that_fails_before_the_first_byte_is_a_clear_error(
    failure: VoiceError, status: int, good_bytes: int | None
) -> None:
    with Service(WatchedEngine(failure=failure, good_bytes=good_bytes)) as service:
        answer = service.order(input="Hello there.")
        assert answer.status == status
        assert answer.error["message"].startswith(failure.message)
        assert answer.error["type"] == "server_error"
        service.wait_for(running=0)


def test_an_engine_that_fails_in_the_middle_leaves_an_answer_without_an_end() -> None:
    engine = WatchedEngine(failure=EngineError("The voice broke."), good_bytes=20_000)
    with Service(engine) as service, service.client() as client:
        with client.audio.speech.with_streaming_response.create(
            model="tone", voice="alloy", input=LONG, response_format="pcm"
        ) as response:
            blocks = response.iter_bytes()
            assert next(blocks)
            with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
                for _ in blocks:
                    pass
        service.wait_for(running=0)
        assert engine.opened == engine.closed == 1


def _everything(client: socket.socket) -> bytes:
    data = bytearray()
    while block := client.recv(1 << 16):
        data += block
    return bytes(data)
