import asyncio
import http.client
import json
import socket
import struct
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import openai
import pytest

from tests.support.behaviour import Behaviour, Framing
from tests.support.endpoint import SpeechEndpoint
from tests.support.exchange import Outcome
from tests.support.pattern import spoken
from tests.support.ports import LOOPBACK, refusing_port, silent_port, unused_port
from tests.support.waiting import eventually, eventually_async
from tests.support.wav import wav
from voice_mcp.types import PcmFormat

TEXT = "Good morning."
AUDIO = spoken(TEXT)
PATIENCE_S = 5.0


@contextmanager
def connected(endpoint: SpeechEndpoint) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection(LOOPBACK, endpoint.port, timeout=PATIENCE_S)
    try:
        yield client
    finally:
        client.close()


def ask(client: http.client.HTTPConnection, **fields: object) -> http.client.HTTPResponse:
    body = json.dumps({"model": "tts-1", "voice": "alba", "input": TEXT, "response_format": "pcm", **fields})
    client.request(
        "POST", "/v1/audio/speech", body, {"Authorization": "Bearer key", "Content-Type": "application/json"}
    )
    return client.getresponse()


def answer_of(endpoint: SpeechEndpoint) -> tuple[http.client.HTTPResponse, bytes]:
    with connected(endpoint) as client:
        response = ask(client)
        return response, response.read()


def test_it_speaks_the_text_as_it_was_asked_to(speech_endpoint: SpeechEndpoint) -> None:
    response, audio = answer_of(speech_endpoint)
    assert (response.status, response.headers["Content-Type"], audio) == (200, "audio/pcm", AUDIO)
    (exchange,) = speech_endpoint.speech
    assert exchange.json["voice"] == "alba"
    assert exchange.text == TEXT
    assert exchange.authorization == "Bearer key"
    assert exchange.audio == AUDIO


def test_it_notes_the_moments_of_an_answer_in_their_order(speech_endpoint: SpeechEndpoint) -> None:
    answer_of(speech_endpoint)
    speech_endpoint.wait_until(lambda: speech_endpoint.speech[0].outcome is Outcome.COMPLETE, PATIENCE_S)
    (exchange,) = speech_endpoint.speech
    assert exchange.head_s is not None
    assert exchange.first_byte_s is not None
    assert exchange.ended_s is not None
    assert exchange.arrived_s <= exchange.head_s <= exchange.first_byte_s <= exchange.ended_s
    assert exchange.sent_bytes == len(AUDIO)


def test_one_connection_carries_several_requests(speech_endpoint: SpeechEndpoint) -> None:
    with connected(speech_endpoint) as client:
        assert [ask(client).read() for _ in range(3)] == [AUDIO] * 3
        assert speech_endpoint.open_connections == 1
    assert [exchange.connection for exchange in speech_endpoint.speech] == [1, 1, 1]
    assert speech_endpoint.connections == 1
    speech_endpoint.wait_until(lambda: speech_endpoint.open_connections == 0, PATIENCE_S)


def test_wav_is_sent_with_a_header_of_unknown_length_when_asked_for(speech_endpoint: SpeechEndpoint) -> None:
    with connected(speech_endpoint) as client:
        response = ask(client, response_format="wav")
        assert response.headers["Content-Type"] == "audio/wav"
        assert response.read() == wav(AUDIO, data_size=0xFFFFFFFF)


@pytest.mark.parametrize("framing", Framing)
def test_every_framing_carries_the_same_audio(speech_endpoint: SpeechEndpoint, framing: Framing) -> None:
    speech_endpoint.then(Behaviour(framing=framing, odd_tail=True))
    _, audio = answer_of(speech_endpoint)
    assert audio == AUDIO + b"\x7f"


def test_behaviours_are_used_in_order_and_then_the_default_again(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour.refusing(503, "Busy.", retry_after="2"), Behaviour(audio=b"\1\1"))
    refused, body = answer_of(speech_endpoint)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
    assert json.loads(body)["error"]["message"] == "Busy."
    assert answer_of(speech_endpoint)[1] == b"\1\1"
    assert answer_of(speech_endpoint)[1] == AUDIO


def test_a_function_of_the_request_can_decide(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.always(lambda exchange: Behaviour(audio=exchange.text.encode()))
    assert answer_of(speech_endpoint)[1] == TEXT.encode()


def test_a_web_page_comes_where_audio_was_expected(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour.web_page())
    response, body = answer_of(speech_endpoint)
    assert response.headers["Content-Type"].startswith("text/html")
    assert body.startswith(b"<!doctype html>")


def test_a_redirect_says_where_to_go(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour.redirecting("http://elsewhere.invalid/v1/audio/speech"))
    response, _ = answer_of(speech_endpoint)
    assert (response.status, response.headers["Location"]) == (307, "http://elsewhere.invalid/v1/audio/speech")


def test_a_stalled_answer_goes_on_when_it_is_released(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(stall_after_bytes=1001))
    with connected(speech_endpoint) as client:
        response = ask(client)
        begin = response.read(1001)
        speech_endpoint.wait_until(lambda: speech_endpoint.speech[0].stalled, PATIENCE_S)
        assert speech_endpoint.speech[0].sent_bytes == 1001
        speech_endpoint.release()
        assert begin + response.read() == AUDIO


def test_an_answer_that_stalls_for_a_time_goes_on_by_itself(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(stall_after_bytes=100, stall_s=0.02, first_byte_delay_s=0.01, slow_headers_s=0.02))
    assert answer_of(speech_endpoint)[1] == AUDIO
    exchange = speech_endpoint.speech[0]
    assert exchange.head_s is not None
    assert exchange.first_byte_s is not None
    assert exchange.first_byte_s - exchange.head_s >= 0.01


def test_it_sees_a_client_leave_in_the_middle_of_a_stall(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(stall_after_bytes=0))
    with connected(speech_endpoint) as client:
        ask(client)
    speech_endpoint.wait_until(lambda: speech_endpoint.speech[0].outcome is Outcome.CLIENT_LEFT, PATIENCE_S)


def test_it_sees_a_client_that_does_not_wait_for_an_answer_leave(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(never_answer=True))
    with connected(speech_endpoint) as client:
        client.timeout = 0.02
        with pytest.raises(TimeoutError):
            ask(client)
    speech_endpoint.wait_until(lambda: speech_endpoint.speech[0].outcome is Outcome.CLIENT_LEFT, PATIENCE_S)


def test_a_cut_resets_the_connection_in_the_middle_of_the_body(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(cut_after_bytes=5000))
    with connected(speech_endpoint) as client, pytest.raises(ConnectionResetError):
        ask(client).read()
    assert speech_endpoint.speech[0].outcome is Outcome.CUT
    assert speech_endpoint.speech[0].sent_bytes == 5000


def test_a_clean_cut_ends_the_body_early(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(cut_after_bytes=5000, cut_cleanly=True))
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer_of(speech_endpoint)
    assert caught.value.partial == AUDIO[:5000]


def test_a_short_body_is_less_than_was_promised(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(framing=Framing.LENGTH, short_body_bytes=10))
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer_of(speech_endpoint)
    assert (caught.value.partial, caught.value.expected) == (AUDIO, 10)


def test_one_byte_chunks_carry_the_same_audio(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(one_byte_chunks=True))
    assert answer_of(speech_endpoint)[1] == AUDIO


def test_a_paced_answer_is_not_sent_sooner_than_its_pace_allows(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(pace=20.0))
    assert answer_of(speech_endpoint)[1] == AUDIO
    exchange = speech_endpoint.speech[0]
    speech_endpoint.wait_until(lambda: exchange.ended_s is not None, PATIENCE_S)
    assert exchange.head_s is not None
    assert exchange.ended_s is not None
    # Never sooner, however busy the machine: the last block leaves when those before it have been heard.
    blocks = len(AUDIO) // 960
    assert exchange.ended_s - exchange.head_s >= (blocks - 1) * 0.02 / 20


def test_a_closing_answer_says_so(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.then(Behaviour(keep_alive=False))
    response, audio = answer_of(speech_endpoint)
    assert (response.headers["Connection"], audio) == ("close", AUDIO)


def test_the_wrong_key_is_refused() -> None:
    with SpeechEndpoint(api_key="right") as endpoint:
        response, _ = answer_of(endpoint)
        assert response.status == 401


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"input": ""}', b"{}"])
def test_a_request_without_a_text_is_refused(speech_endpoint: SpeechEndpoint, body: bytes) -> None:
    with connected(speech_endpoint) as client:
        client.request("POST", "/v1/audio/speech", body)
        assert client.getresponse().status == 400


def test_it_lists_its_voices_and_models() -> None:
    with SpeechEndpoint(voices=["cleo"], models=["small"]) as endpoint, connected(endpoint) as client:
        client.request("GET", "/v1/audio/voices")
        assert json.loads(client.getresponse().read()) == {"voices": ["cleo"]}
        client.request("GET", "/v1/models")
        assert json.loads(client.getresponse().read())["data"][0]["id"] == "small"
        client.request("GET", "/elsewhere")
        assert client.getresponse().status == 404


def test_something_that_is_not_http_is_reset(speech_endpoint: SpeechEndpoint) -> None:
    with socket.create_connection((LOOPBACK, speech_endpoint.port), PATIENCE_S) as client:
        client.sendall(b"hello\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_the_openai_library_speaks_with_it(speech_endpoint: SpeechEndpoint) -> None:
    with (
        openai.OpenAI(base_url=speech_endpoint.base_url, api_key="key") as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alba", input=TEXT, response_format="pcm"
        ) as response,
    ):
        assert b"".join(response.iter_bytes()) == AUDIO


FRAMES = array("h", range(-8_000, 8_000)).tobytes()


def listen(endpoint: SpeechEndpoint, shape: Literal["json", "text", "verbose_json"] = "json") -> object:
    """What the openai library is told of ``FRAMES``."""
    client = openai.OpenAI(base_url=endpoint.base_url, api_key="key", max_retries=0, timeout=PATIENCE_S)
    with client:
        return client.audio.transcriptions.create(
            file=("sound.wav", wav(FRAMES, PcmFormat(16_000, 1)), "audio/wav"),
            model="whisper-1",
            language="en",
            response_format=shape,
        )


def test_the_openai_library_is_heard_by_it_in_every_shape(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.hear_next("One.", "Two.", "Three.")
    assert getattr(listen(speech_endpoint), "text", None) == "One."
    assert listen(speech_endpoint, "text") == "Two.\n"
    verbose = listen(speech_endpoint, "verbose_json")
    assert (getattr(verbose, "text", None), getattr(verbose, "language", None)) == ("Three.", "english")
    assert getattr(listen(speech_endpoint), "text", None) == "Yes, please."


def test_it_keeps_what_it_was_sent(speech_endpoint: SpeechEndpoint) -> None:
    listen(speech_endpoint)
    (exchange,) = speech_endpoint.wait_for_transcriptions(1, PATIENCE_S)
    upload = exchange.upload
    assert (upload.file_name, upload.media_type, upload.rate_hz) == ("sound.wav", "audio/wav", 16_000)
    assert upload.frames == FRAMES
    assert upload.fields == {"model": "whisper-1", "language": "en", "response_format": "json"}
    assert speech_endpoint.speech == []


def test_what_it_hears_may_take_its_time_or_never_come(speech_endpoint: SpeechEndpoint) -> None:
    speech_endpoint.hear_next("Late.", after_s=0.2)
    assert getattr(listen(speech_endpoint), "text", None) == "Late."
    exchange = speech_endpoint.transcriptions[0]
    assert exchange.head_s is not None
    assert exchange.first_byte_s is not None
    assert exchange.first_byte_s - exchange.head_s >= 0.19
    speech_endpoint.always_hear(Behaviour.refusing(429))
    with pytest.raises(openai.RateLimitError):
        listen(speech_endpoint)


@pytest.mark.parametrize("body", [b"", b"{}", b"--x\r\n\r\n--x--"])
def test_a_request_for_a_transcription_without_a_file_is_refused(speech_endpoint: SpeechEndpoint, body: bytes) -> None:
    with connected(speech_endpoint) as client:
        client.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": "application/json"})
        assert client.getresponse().status == 400


def test_stopping_ends_answers_that_would_never_end() -> None:
    with SpeechEndpoint(Behaviour(never_answer=True)) as endpoint:
        waiting = socket.create_connection((LOOPBACK, endpoint.port), PATIENCE_S)
        body = b'{"input": "x"}'
        waiting.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        endpoint.wait_for_speech(1, PATIENCE_S)
    with waiting:
        assert waiting.recv(1) == b""
    assert endpoint.speech[0].outcome is Outcome.STOPPED
    assert not [thread for thread in threading.enumerate() if thread.name == "speech endpoint"]


def test_a_refusing_port_refuses_and_a_silent_one_says_nothing() -> None:
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), PATIENCE_S)
    with silent_port() as port, socket.create_connection((LOOPBACK, port), PATIENCE_S) as client:
        client.sendall(b"anybody there?")
        client.settimeout(0.02)
        with pytest.raises(TimeoutError):
            client.recv(1)
    with socket.socket() as listener:
        listener.bind((LOOPBACK, unused_port()))


def test_waiting_looks_until_it_is_true_and_not_for_ever() -> None:
    answers = iter([0, 0, 7])
    assert eventually(lambda: next(answers), PATIENCE_S) == 7
    with pytest.raises(AssertionError, match="the moon did not come true"):
        eventually(lambda: False, 0.01, "the moon")


@pytest.mark.anyio
async def test_waiting_lets_the_event_loop_go_on() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await eventually_async(event.is_set, PATIENCE_S)
    with pytest.raises(AssertionError, match="the moon did not come true"):
        await eventually_async(lambda: False, 0.01, "the moon")


def test_a_wav_header_tells_the_truth_unless_it_is_told_to_lie() -> None:
    true = wav(b"\1\2\3\4", extra_chunk=b"abc")
    assert struct.unpack("<4sI4s", true[:12]) == (b"RIFF", len(true) - 8, b"WAVE")
    assert true[36:48] == b"LIST\x03\x00\x00\x00abc\x00"
    assert true[48:56] == b"data\x04\x00\x00\x00"
    for size in (0, 0x7FFFFFFF, 0xFFFFFFFF):
        assert wav(b"\1\2", data_size=size)[40:44] == struct.pack("<I", size)
