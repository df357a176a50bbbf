"""The network that is bad on purpose, between a real client and a real server."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.network import Network
from tests.support.pattern import pattern
from tests.support.ports import LOOPBACK
from tests.support.weather import HOTEL, LAN, MOBILE_4G, WEATHER, Profile, cut, hang, outage, slower_than

PATIENCE_S = 5.0
AUDIO = pattern(24_000)


@pytest.fixture
def endpoint() -> Iterator[SpeechEndpoint]:
    with SpeechEndpoint(Behaviour(audio=AUDIO)) as endpoint:
        yield endpoint


@contextmanager
def connected(port: int, timeout_s: float = PATIENCE_S) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


def ask(client: http.client.HTTPConnection) -> http.client.HTTPResponse:
    client.request("POST", "/v1/audio/speech", json.dumps({"model": "m", "voice": "v", "input": "Hello."}))
    return client.getresponse()


def heard(port: int) -> bytes:
    with connected(port) as client:
        return ask(client).read()


@pytest.mark.parametrize("profile", [*WEATHER, outage(20_000, 0.2)], ids=lambda profile: profile.name)
def test_whatever_the_weather_every_byte_comes_through_in_its_order(endpoint: SpeechEndpoint, profile: Profile) -> None:
    with Network(endpoint.port, profile) as network, connected(network.port) as client:
        assert [ask(client).read() for _ in range(2)] == [AUDIO] * 2
    assert [(passage.number, passage.connection) for passage in network.passages] == [(0, 0), (1, 0)]


def test_an_answer_takes_a_round_trip_and_a_connection_one_more(endpoint: SpeechEndpoint) -> None:
    profile = replace(LAN, rtt_s=0.3, jitter_s=0.0)
    with Network(endpoint.port, profile) as network, connected(network.port) as client:
        for trips in (2, 1):
            began_s = time.perf_counter()
            response = ask(client)
            assert trips * 0.3 <= time.perf_counter() - began_s < (trips + 1) * 0.3 + 1.0
            assert response.read() == AUDIO
    connected_s, kept_s = [(passage.first_byte_s or 0.0) - passage.asked_s for passage in network.passages]
    assert connected_s - kept_s == pytest.approx(0.3, abs=0.25)


def test_an_answer_takes_as_long_as_its_rate_demands(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, slower_than(120_000)) as network:
        assert heard(network.port) == AUDIO
        (passage,) = network.passages
    assert passage.first_byte_s is not None
    assert passage.last_byte_s is not None
    took_s = passage.last_byte_s - passage.first_byte_s
    assert took_s >= (passage.passed_bytes - 2 * passage.line.profile.burst_bytes) / 108_000
    assert took_s < 4.0
    assert passage.passed_bytes > len(AUDIO)  # the head, and the frames of the chunks


def test_jitter_and_losses_hold_a_steady_stream_up_but_not_for_good(endpoint: SpeechEndpoint) -> None:
    endpoint.always(Behaviour(audio=AUDIO, pace=1.0))
    often = replace(HOTEL, stall_every_s=0.3)
    with Network(endpoint.port, often, seed=4) as network, connected(network.port) as client:
        response, lengths, last_s = ask(client), [], time.perf_counter()
        while response.read1(1 << 16):
            now_s = time.perf_counter()
            lengths.append(now_s - last_s)
            last_s = now_s
        (passage,) = network.passages
    stalls = [end - begin for begin, end in passage.line.stalls(1.0) if 0.1 < begin < 0.8]
    assert max(lengths) >= 0.8 * max(stalls)
    assert last_s - passage.asked_s < 3.0


def test_an_outage_is_as_long_as_it_was_to_be_and_comes_where_it_was_to_come(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, outage(20_000, 0.4)) as network:
        assert heard(network.port) == AUDIO
        (passage,) = network.passages
    assert passage.broken_s is not None
    assert passage.last_byte_s is not None
    assert passage.stalls_end_s[0] - passage.broken_s >= 0.4
    assert passage.last_byte_s >= passage.stalls_end_s[0]


def test_a_cut_is_a_reset_after_so_many_bytes_and_the_next_answer_is_whole(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, cut(20_000)) as network:
        with connected(network.port) as client, pytest.raises(ConnectionResetError):
            ask(client).read()
        assert network.wait_for_break(PATIENCE_S).passed_bytes == 20_000
        assert heard(network.port) == AUDIO
    endpoint.wait_until(lambda: endpoint.open_connections == 0, PATIENCE_S)


def test_a_cut_may_come_always_and_others_begin_to_count_where_they_are_put_in_place(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, cut(20_000, answers=None)) as network:
        for _ in range(3):
            with connected(network.port) as client, pytest.raises(ConnectionResetError):
                ask(client).read()
        network.change(cut(1_000))
        with connected(network.port) as client, pytest.raises(ConnectionResetError):
            ask(client).read()
        assert heard(network.port) == AUDIO
    assert [passage.passed_bytes for passage in network.passages][:4] == [20_000] * 3 + [1_000]


def test_a_half_open_connection_stands_and_says_nothing(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, hang(20_000)) as network:
        with connected(network.port, timeout_s=0.5) as client:
            response = ask(client)
            with pytest.raises(TimeoutError):
                response.read()
        assert network.wait_for_break(PATIENCE_S).passed_bytes == 20_000
        endpoint.wait_until(lambda: endpoint.open_connections == 0, PATIENCE_S)
        assert heard(network.port) == AUDIO


def test_a_client_that_does_not_read_is_felt_by_the_server(endpoint: SpeechEndpoint) -> None:
    endless = pattern(24_000_000)
    endpoint.always(Behaviour(audio=endless))
    with Network(endpoint.port, LAN) as network, connected(network.port) as client:
        client.connect()
        assert client.sock is not None
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        response = ask(client)
        assert response.read(1 << 16) == endless[: 1 << 16]
    endpoint.wait_until(lambda: endpoint.open_connections == 0, PATIENCE_S)
    assert endpoint.speech[0].sent_bytes < len(endless) // 2


def test_a_server_that_breaks_off_ends_the_answer_for_the_client(endpoint: SpeechEndpoint) -> None:
    endpoint.then(Behaviour(audio=AUDIO, cut_after_bytes=20_000))
    broken = pytest.raises((http.client.IncompleteRead, ConnectionError))
    with Network(endpoint.port, MOBILE_4G) as network, connected(network.port) as client, broken:
        ask(client).read()


def test_where_no_server_is_a_client_is_turned_away() -> None:
    with SpeechEndpoint() as gone:
        port = gone.port
    with Network(port) as network, connected(network.port) as client, pytest.raises(ConnectionError):
        ask(client)


def test_it_ends_with_connections_open(endpoint: SpeechEndpoint) -> None:
    with Network(endpoint.port, hang(1_000)) as network, connected(network.port) as client:
        ask(client)
        network.wait_for_break(PATIENCE_S)
        network.__exit__(None, None, None)
        endpoint.wait_until(lambda: endpoint.open_connections == 0, PATIENCE_S)
