"""An OpenAI-compatible endpoint that listens: what it is sent, what of its answers is believed, how it fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stt.recognising import LONGEST_S, as_wav, recognizer_for, sound
from tests.support.behaviour import Behaviour, Framing
from tests.support.endpoint import SpeechEndpoint
from tests.support.ports import LOOPBACK, refusing_port
from tests.support.tls import Authority
from voice_mcp.errors import EngineBusy, EngineError, EngineRefused, EngineStalled, EngineUnreachable
from voice_mcp.openai_client import Endpoint
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.types import AudioClip, RecognitionHints, Transcript

pytestmark = pytest.mark.anyio

HINTS = RecognitionHints()
KEY = "sk-planted-key-of-the-user"


def text_body(body: str, media_type: str = "text/plain") -> Behaviour:
    return Behaviour(body=body.encode(), content_type=media_type)


async def heard(endpoint: SpeechEndpoint, hints: RecognitionHints = HINTS, **given: Any) -> Transcript:
    async with recognizer_for(endpoint, **given) as recognizer:
        return await recognizer.transcribe(sound(), hints)


async def failure(endpoint: SpeechEndpoint, **given: Any) -> EngineError:
    """What is wrong, in words that speak of listening."""
    async with recognizer_for(endpoint, **given) as recognizer:
        with pytest.raises(EngineError) as failed:
            await recognizer.transcribe(sound(), HINTS)
    error = failed.value
    assert endpoint.host in error.message
    assert "VOICEMODE_TTS" not in error.advice
    assert KEY not in error.advice
    return error


# --- what it is sent ---------------------------------------------------------------------------------------------


async def test_the_server_gets_every_frame_and_what_helps_it() -> None:
    with SpeechEndpoint(hears="Ja, bitte.") as endpoint:
        transcript = await heard(endpoint, RecognitionHints("de", "Kokoro, pytest"), model="whisper-1")
    (exchange,) = endpoint.transcriptions
    assert (transcript.text, transcript.engine, transcript.model) == ("Ja, bitte.", endpoint.host, "whisper-1")
    assert exchange.upload.frames == sound()
    assert exchange.upload.rate_hz == 16_000
    assert (exchange.upload.file_name, exchange.upload.media_type) == ("speech.wav", "audio/wav")
    assert exchange.upload.fields == {
        "model": "whisper-1",
        "language": "de",
        "prompt": "Kokoro, pytest",
        "response_format": "verbose_json",
    }


async def test_what_nobody_set_is_not_sent() -> None:
    with SpeechEndpoint() as endpoint:
        await heard(endpoint)
    assert endpoint.transcriptions[0].upload.fields.keys() == {"model", "response_format"}


async def test_a_key_goes_with_the_request_and_nothing_else_of_this_machine_does() -> None:
    with SpeechEndpoint(api_key=KEY) as endpoint:
        await heard(endpoint, key=KEY)
    (exchange,) = endpoint.transcriptions
    assert exchange.authorization == f"Bearer {KEY}"
    assert not [name for name in exchange.headers if name.startswith(("x-stainless-os", "x-stainless-lang", "openai-"))]


async def test_without_a_key_none_is_sent() -> None:
    with SpeechEndpoint() as endpoint:
        await heard(endpoint)
    assert endpoint.transcriptions[0].authorization is None


async def test_turns_go_over_one_connection() -> None:
    with SpeechEndpoint() as endpoint:
        async with recognizer_for(endpoint) as recognizer:
            for _ in range(3):
                await recognizer.transcribe(sound(), HINTS)
        assert endpoint.connections == 1


async def test_a_file_is_made_for_each_turn_by_whoever_was_handed_in() -> None:
    packed: list[bytes] = []

    def pack(frames: bytes) -> AudioClip:
        packed.append(frames)
        return AudioClip(b"fLaC and so on", "flac", "audio/flac")

    with SpeechEndpoint() as endpoint:
        recognizer = OpenAIRecognizer(Endpoint(endpoint.base_url, part="STT"), stall_s=5.0, pack=pack)
        await recognizer.transcribe(sound(), HINTS)
        await recognizer.aclose()
    upload = endpoint.transcriptions[0].upload
    assert packed == [sound()]
    assert (upload.file_name, upload.media_type, upload.data) == ("speech.flac", "audio/flac", b"fLaC and so on")


# --- the shapes of answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told", "known"),
    [
        ("english", None, "en"),
        ("de", None, "de"),
        ("pt-BR", None, "pt"),
        ("Klingonese", None, None),
        ("Klingonese", "fr", "fr"),
        ("german", "fr", "de"),
    ],
)
async def test_the_language_is_a_code_whatever_the_server_calls_it(
    said: str, told: str | None, known: str | None
) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.hear_next(Behaviour.hearing("Yes.", "verbose_json", language=said))
        assert (await heard(endpoint, RecognitionHints(told))).language == known


async def test_a_server_that_knows_no_verbose_answer_is_asked_for_a_plain_one_from_then_on() -> None:
    refusal = Behaviour.refusing(400, "response_format 'verbose_json' is not compatible with this model.")
    with SpeechEndpoint(hears="Yes.") as endpoint:
        endpoint.hear_next(refusal)
        async with recognizer_for(endpoint) as recognizer:
            texts = [(await recognizer.transcribe(sound(), RecognitionHints("en"))) for _ in range(2)]
        shapes = [exchange.upload.fields["response_format"] for exchange in endpoint.transcriptions]
    assert [(each.text, each.language) for each in texts] == [("Yes.", "en")] * 2
    assert shapes == ["verbose_json", "json", "json"]


async def test_models_that_are_known_to_have_no_verbose_answer_are_not_asked_for_one() -> None:
    with SpeechEndpoint() as endpoint:
        await heard(endpoint, model="gpt-4o-mini-transcribe")
    assert [each.upload.fields["response_format"] for each in endpoint.transcriptions] == ["json"]


async def test_a_refusal_that_blames_something_else_is_not_asked_about_twice() -> None:
    error = {"error": {"message": "Too short.", "type": "invalid_request_error", "param": "file", "code": None}}
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.answering(error, status=400))
        refusal = await failure(endpoint)
    assert isinstance(refusal, EngineRefused)
    assert len(endpoint.transcriptions) == 1
    assert '"Too short."' in refusal.message


@pytest.mark.parametrize(
    "answer",
    [
        Behaviour.answering({"text": " Yes, please. "}),
        text_body("Yes, please.\n"),
        text_body("\ufeffYes, please.", "text/plain; charset=utf-8"),
        text_body('"Yes, please."', "application/json"),
        text_body('{"text": "Yes, please."}'),
        text_body("Yes, please.", ""),
        Behaviour.answering({"text": "Yes, please.", "segments": "none", "language": 7}),
        Behaviour(body=b'{"text": "Yes, please."}', content_type="application/json", framing=Framing.CLOSE),
        Behaviour(body=b'{"text": "Yes, please."}', content_type="application/json", one_byte_chunks=True),
    ],
)
async def test_words_are_found_in_whatever_shape_they_come(answer: Behaviour) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(answer)
        transcript = await heard(endpoint)
    assert (transcript.text, transcript.parts) == ("Yes, please.", ())


@pytest.mark.parametrize("text", ["42", "null", "true", "[1, 2]", "3.14"])
async def test_a_number_in_plain_text_is_what_was_said(text: str) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(text_body(text))
        assert (await heard(endpoint)).text == text


async def test_parts_come_with_their_times_and_the_models_doubt() -> None:
    segments = [
        {"text": " Yes.", "start": 0.0, "end": 0.4, "no_speech_prob": 0.02},
        {"text": " Thanks.", "start": 0.4, "end": 2, "no_speech_prob": 0.9},
        {"text": " Bye.", "start": 2, "end": 3},
    ]
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.answering({"text": "Yes. Thanks. Bye.", "segments": segments}))
        parts = (await heard(endpoint)).parts
    assert [(part.text, part.start_s, part.end_s, part.no_speech) for part in parts] == [
        (" Yes.", 0.0, 0.4, 0.02),
        (" Thanks.", 0.4, 2.0, 0.9),
        (" Bye.", 2.0, 3.0, None),
    ]


@pytest.mark.parametrize(
    "broken", [None, 7, {"text": 3}, {"text": "No times."}, {"text": "x", "start": "a", "end": float("inf")}]
)
async def test_parts_of_which_one_makes_no_sense_are_not_used(broken: object) -> None:
    segments = [{"text": " Yes.", "start": 0.0, "end": 0.4}, broken]
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.answering({"text": "Yes.", "segments": segments}))
        transcript = await heard(endpoint)
    assert (transcript.text, transcript.parts) == ("Yes.", ())


# --- answers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Behaviour.web_page(), "a web page"),
        (text_body("<!DOCTYPE html><title>Sign in</title>"), "a web page"),
        (text_body(""), "an empty answer"),
        (Behaviour(body=b"\xff\xfe\x00RIFF", content_type="audio/wav"), "bytes"),
        (text_body("{}", "application/json"), "without a transcript"),
        (text_body("[7]", "application/json"), "without a transcript"),
        (text_body('{"text": nul', "application/json"), "without a transcript"),
        (text_body("[" * 200_000, "application/json"), "without a transcript"),
        (Behaviour.answering({"text": None}), "without a transcript"),
        (Behaviour.answering({"error": "failed to read audio"}), '"failed to read audio"'),
        (Behaviour.answering({"error": {"message": "no model"}}), '"no model"'),
        (Behaviour(body=b"x", headers={"Content-Encoding": "br"}), "compressed"),
    ],
)
async def test_an_answer_without_words_is_an_error_that_says_what_came(answer: Behaviour, words: str) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(answer)
        assert words in (await failure(endpoint)).message


async def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    endless = Behaviour(body=b"and so on " * 5_000, content_type="text/plain", endless=True)
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(endless)
        assert "without end" in (await failure(endpoint)).message
        endpoint.wait_until(lambda: endpoint.open_connections == 0, 10)
    assert endpoint.transcriptions[0].sent_bytes < 32 << 20


async def test_an_error_that_quotes_the_key_is_not_repeated() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.answering({"error": f"Bad key: {KEY}"}))
        await failure(endpoint, key=KEY)
        endpoint.always_hear(Behaviour.refusing(401, f"Bad key: {KEY[:12]}..."))
        assert KEY[:12] not in (await failure(endpoint, key=KEY)).message


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, EngineRefused, "VOICEMODE_STT_API_KEYS"),
        (403, EngineRefused, "VOICEMODE_STT_API_KEYS"),
        (404, EngineRefused, "VOICEMODE_STT_BASE_URLS"),
        (400, EngineRefused, "the model"),
        (413, EngineRefused, "shorter turns"),
        (500, EngineBusy, "Try again"),
        (503, EngineBusy, "Try again"),
    ],
)
async def test_a_refusal_is_told_with_what_to_do_about_listening(
    status: int, kind: type[EngineError], hint: str
) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.refusing(status, "Not like this."))
        error = await failure(endpoint)
    assert type(error) is kind
    assert str(status) in error.message
    assert hint in error.hint


async def test_a_busy_server_says_when_to_come_back() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.refusing(429, "Slow down.", retry_after="7"))
        error = await failure(endpoint)
    assert isinstance(error, EngineBusy)
    assert error.retry_after_s == 7


async def test_a_redirect_takes_the_recording_nowhere() -> None:
    with SpeechEndpoint() as elsewhere, SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.redirecting(f"{elsewhere.base_url}/audio/transcriptions"))
        error = await failure(endpoint)
    assert elsewhere.requests == []
    assert elsewhere.host in error.message
    assert "VOICEMODE_STT_BASE_URLS" in error.hint


# --- connections -------------------------------------------------------------------------------------------------


async def test_a_refused_connection_names_the_setting_for_listening() -> None:
    with refusing_port() as port:
        recognizer = OpenAIRecognizer(
            Endpoint(f"http://127.0.0.1:{port}/v1", part="STT"),
            stall_s=5.0,
            pack=lambda frames: AudioClip(frames, "wav", "audio/wav"),
        )
        with pytest.raises(EngineUnreachable, match="connection refused") as failed:
            await recognizer.transcribe(sound(), HINTS)
        await recognizer.aclose()
    assert "VOICEMODE_STT_BASE_URLS" in failed.value.hint


async def test_a_certificate_that_is_not_trusted_gets_no_recording(tmp_path: Path) -> None:
    with SpeechEndpoint(tls=Authority(tmp_path).server()) as endpoint:
        error = await failure(endpoint)
    assert "certificate" in error.message
    assert endpoint.requests == []


async def test_an_answer_that_does_not_come_is_given_up_after_its_time_and_that_of_the_sound() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour(never_answer=True))
        error = await failure(endpoint, stall_s=0.1)
    assert isinstance(error, EngineUnreachable)
    assert "did not answer within 0.9 s" in error.message


async def test_an_answer_that_stands_still_in_the_middle_is_given_up() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour(body=b'{"text": "Yes."}', content_type="application/json", stall_after_bytes=4))
        error = await failure(endpoint, stall_s=0.3)
    assert isinstance(error, EngineStalled)


@pytest.mark.parametrize("cleanly", [True, False])
async def test_an_answer_that_is_cut_is_no_answer(cleanly: bool) -> None:
    cut = Behaviour(body=b'{"text": "Yes."}', content_type="application/json", cut_after_bytes=8, cut_cleanly=cleanly)
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(cut)
        error = await failure(endpoint)
    assert isinstance(error, EngineStalled)
    assert "broke off" in error.message


async def test_a_kept_connection_that_is_dead_is_replaced_without_a_failure() -> None:
    with SpeechEndpoint(hears="Yes.") as endpoint:
        endpoint.hear_next("Yes.", Behaviour(raw=b""))
        async with recognizer_for(endpoint) as recognizer:
            texts = [(await recognizer.transcribe(sound(), HINTS)).text for _ in range(2)]
        assert texts == ["Yes.", "Yes."]
        assert endpoint.connections == 2
        assert endpoint.transcriptions[-1].upload.frames == sound()


async def test_somebody_who_hangs_up_at_once_hung_up() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour(raw=b""))
        error = await failure(endpoint)
    assert isinstance(error, EngineUnreachable)
    assert error.hung_up


REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
WORDS = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"text": "Yes."}'


async def test_only_where_nobody_was_reached_was_nothing_sent() -> None:
    with refusing_port() as port:
        error = await unreachable(port)
    assert error.nothing_sent


async def test_whoever_refused_the_shape_of_an_answer_was_sent_the_sound() -> None:
    async with only_client(REFUSAL) as port:
        error = await unreachable(port)
    assert "connection refused" in error.message
    assert not error.nothing_sent


async def test_whoever_had_a_kept_connection_may_have_been_sent_the_sound() -> None:
    async with only_client(WORDS, b"") as port:
        error = await unreachable(port, times=2)
    assert "connection refused" in error.message
    assert not error.nothing_sent


async def unreachable(port: int, times: int = 1) -> EngineUnreachable:
    """How the last of some requests fails."""
    recognizer = OpenAIRecognizer(Endpoint(f"http://{LOOPBACK}:{port}/v1", part="STT"), stall_s=5.0, pack=as_wav)
    try:
        with anyio.fail_after(LONGEST_S):
            for _ in range(times - 1):
                await recognizer.transcribe(sound(), HINTS)
            with pytest.raises(EngineUnreachable) as failed:
                await recognizer.transcribe(sound(), HINTS)
    finally:
        await recognizer.aclose()
    return failed.value


@asynccontextmanager
async def only_client(*answers: bytes) -> AsyncIterator[int]:
    """The port of a server that gives its first client these answers, and refuses everybody who connects after that.

    An empty answer closes the connection once the whole request is there.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = re.findall(rb"(?i)content-length: *([0-9]+)", head)
            await reader.readexactly(int(length))
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_transcription_that_is_cancelled_lets_go_of_its_connection() -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour(never_answer=True))
        async with recognizer_for(endpoint) as recognizer:
            asking = asyncio.create_task(recognizer.transcribe(sound(), HINTS))
            await asyncio.to_thread(endpoint.wait_for_transcriptions, 1, 10)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await asyncio.to_thread(endpoint.wait_until, lambda: endpoint.open_connections == 0, 10)


async def test_an_endpoint_is_looked_at_without_being_sent_a_sound() -> None:
    with SpeechEndpoint(api_key=KEY) as endpoint:
        async with recognizer_for(endpoint, key=KEY) as recognizer:
            await recognizer.check()
        async with recognizer_for(endpoint, key="sk-other") as recognizer:
            with pytest.raises(EngineRefused):
                await recognizer.check()
    assert endpoint.transcriptions == []
