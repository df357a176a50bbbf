"""Endpoints that answer, and whose audio is not what it should be: what can be heard is heard, to the last sample."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import pytest

from tests.support.behaviour import Behaviour, Framing
from tests.support.endpoint import SpeechEndpoint
from tests.support.pattern import pattern, spoken
from tests.support.speaking import heard, heard_rate_hz, house_of, said
from tests.support.wav import wav
from voice_mcp import StreamingAudioWriter
from voice_mcp.types import PcmFormat

pytestmark = pytest.mark.anyio

MESSAGE = "Every word of this is heard."
FRAMES = spoken(MESSAGE)
GARBAGE = bytes(range(1, 251)) * 4
STALL_S = 1.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DISGUISED_JSON = b'{"detail": "warming up, come back"}'


def encoded(audio_format: str) -> bytes:
    """The frames in another format."""
    writer = StreamingAudioWriter(audio_format, 24_000)
    return writer.write_chunk(FRAMES) + writer.finalize()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


EXTENDED = chunk(FRAMES[:7]).replace(b"\r", b';a="b"\r', 1) + chunk(FRAMES[7:])


def at_rate(rate_hz: int) -> bytes:
    """A WAV file whose header claims any rate."""
    file = bytearray(wav(FRAMES))
    struct.pack_into("<II", file, 24, rate_hz, rate_hz * 2 % (1 << 32))
    return bytes(file)


def flushed_after_each(size: int) -> bytes:
    """The frames as gzip, of which some pieces hold nothing: its header, its end, a flush with nothing to say."""
    squeezer = zlib.compressobj(wbits=31)
    blocks = (FRAMES[at : at + size] for at in range(0, len(FRAMES), size))
    pieces = (squeezer.compress(block) + squeezer.flush(zlib.Z_SYNC_FLUSH) for block in blocks)
    return b"".join(pieces) + squeezer.flush()


# --- cut in other ways, wrapped in other ways ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(chunk_bytes=1), id="single bytes"),
        pytest.param(Behaviour(chunk_bytes=3), id="half samples"),
        pytest.param(Behaviour(chunk_bytes=1001), id="odd sizes"),
        pytest.param(Behaviour(framing=Framing.LENGTH), id="a length"),
        pytest.param(Behaviour(framing=Framing.CLOSE), id="until the connection ends"),
        pytest.param(Behaviour(raw=b"HTTP/1.0 200 OK\r\n\r\n" + FRAMES), id="HTTP/1.0"),
        pytest.param(Behaviour(raw=CHUNKED + EXTENDED + b"0\r\nX: y\r\n\r\n"), id="extensions and trailers"),
        pytest.param(Behaviour(odd_tail=True), id="half a sample at the end"),
        pytest.param(Behaviour(content_type="application/octet-stream"), id="no name"),
        pytest.param(Behaviour(content_type="audio/pcm;;rate=;=3;rate"), id="a name of nonsense"),
    ],
)
async def test_however_the_body_is_cut_every_sample_is_heard_once(tmp_path: Path, behaviour: Behaviour) -> None:
    with SpeechEndpoint(behaviour) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
        assert len(endpoint.speech) == 1
    assert heard(answer) == FRAMES
    assert "note" not in answer


@pytest.mark.parametrize("body", [gzip.compress(FRAMES), flushed_after_each(4096)], ids=["whole", "with empty pieces"])
async def test_gzip_that_nobody_asked_for_is_undone(tmp_path: Path, body: bytes) -> None:
    squeezed = Behaviour(body=body, content_type="audio/pcm", headers={"Content-Encoding": "gzip"}, chunk_bytes=999)
    with SpeechEndpoint(squeezed) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
        assert endpoint.speech[0].headers["accept-encoding"] == "identity"
    assert heard(answer) == FRAMES


# --- another format, another rate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("called", ["audio/pcm", "audio/mpeg", "audio/flac", "application/octet-stream"])
@pytest.mark.parametrize("audio_format", ["wav", "flac"])
async def test_another_format_under_any_name_is_heard_to_the_last_sample(
    tmp_path: Path, audio_format: str, called: str
) -> None:
    with SpeechEndpoint(Behaviour(body=encoded(audio_format), content_type=called)) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
    assert heard(answer) == FRAMES


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "ogg", "aac"])
async def test_a_format_under_a_wrong_name_is_heard_as_under_its_own(tmp_path: Path, audio_format: str) -> None:
    own = {"mp3": "audio/mpeg", "aac": "audio/aac"}.get(audio_format, "audio/ogg")
    answers = []
    for called in (own, "audio/pcm"):
        with SpeechEndpoint(Behaviour(body=encoded(audio_format), content_type=called)) as endpoint:
            answers.append(await said(house_of(tmp_path / called, endpoint), MESSAGE))
    assert heard(answers[0]) == heard(answers[1])
    assert answers[0]["duration_s"] == pytest.approx(len(FRAMES) / 48_000, abs=0.1)


@pytest.mark.parametrize(
    ("behaviour", "rate_hz"),
    [
        (Behaviour(body=wav(FRAMES, PcmFormat(8_000, 1)), content_type="audio/wav"), 8_000),
        (Behaviour(body=wav(FRAMES, PcmFormat(48_000, 1)), content_type="audio/pcm;rate=8000"), 48_000),
        (Behaviour(content_type="audio/L16;rate=16000"), 16_000),
    ],
)
async def test_a_rate_that_is_said_is_the_rate_that_is_heard(
    tmp_path: Path, behaviour: Behaviour, rate_hz: int
) -> None:
    with SpeechEndpoint(behaviour) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
    assert (heard_rate_hz(answer), heard(answer)) == (rate_hz, FRAMES)


# --- more than there should be ------------------------------------------------------------------------------------


async def test_what_follows_the_frames_of_a_wav_file_is_no_sound(tmp_path: Path) -> None:
    with SpeechEndpoint(Behaviour(body=wav(FRAMES) + GARBAGE, content_type="audio/wav")) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), MESSAGE)
    assert heard(answer) == FRAMES


@pytest.mark.parametrize("audio_format", ["flac", "mp3", "opus", "ogg", "aac"])
async def test_garbage_behind_the_last_frame_costs_no_sample_and_adds_none(tmp_path: Path, audio_format: str) -> None:
    called = {"flac": "audio/flac", "mp3": "audio/mpeg", "aac": "audio/aac"}.get(audio_format, "audio/ogg")
    answers = []
    for tail in (b"", GARBAGE):
        with SpeechEndpoint(Behaviour(body=encoded(audio_format) + tail, content_type=called)) as endpoint:
            answers.append(await said(house_of(tmp_path / str(len(tail)), endpoint), MESSAGE))
    clean, dirty = answers
    assert heard(dirty) == heard(clean)
    assert "damaged" in dirty["note"]
    assert "note" not in clean


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(audio=pattern(1 << 16), endless=True), id="frames"),
        pytest.param(Behaviour(audio=bytes(1 << 16), endless=True), id="silence"),
        pytest.param(Behaviour(body=bytes(1 << 16), content_type="audio/mpeg", endless=True), id="zeros called MP3"),
        pytest.param(Behaviour(body=bytes(1 << 16), content_type="audio/flac", endless=True), id="zeros called FLAC"),
        pytest.param(Behaviour(body=GARBAGE, content_type="audio/ogg", endless=True), id="garbage called Ogg"),
        pytest.param(Behaviour(body=b"<html>" * 2000, content_type="text/html", endless=True), id="a web page"),
        pytest.param(Behaviour(status=500, body=b"no " * 5000, endless=True), id="an error"),
    ],
)
async def test_a_body_without_end_is_left_and_the_error_names_who_sent_it(tmp_path: Path, behaviour: Behaviour) -> None:
    with SpeechEndpoint(behaviour) as endpoint:
        answer = await said(house_of(tmp_path, endpoint), "Hi.")
        assert "error" in answer
        assert answer["hint"]
        endpoint.wait_until(lambda: endpoint.open_connections == 0, 10)


# --- less than there should be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(cut_after_bytes=20_001), id="a reset"),
        pytest.param(Behaviour(cut_after_bytes=20_001, cut_cleanly=True), id="an early end"),
        pytest.param(Behaviour(framing=Framing.LENGTH, short_body_bytes=1000), id="a length that is too long"),
        pytest.param(Behaviour(raw=CHUNKED + chunk(FRAMES[:20_001]) + b"zz\r\n"), id="a chunk without a size"),
        pytest.param(Behaviour(raw=CHUNKED + chunk(FRAMES[:20_001])), id="no last chunk"),
        pytest.param(Behaviour(stall_after_bytes=20_001), id="a stall"),
        pytest.param(Behaviour(pace=0.001, block_ms=0.05), id="a dribble"),
        pytest.param(
            Behaviour(
                body=flushed_after_each(20_000)[:18_000] + b"\xff" * 1000,
                content_type="audio/pcm",
                headers={"Content-Encoding": "gzip"},
            ),
            id="damaged gzip",
        ),
    ],
)
async def test_a_body_that_breaks_is_asked_for_again_and_no_sample_is_lost_or_heard_twice(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, behaviour: Behaviour
) -> None:
    speech_endpoint.then(behaviour)
    answer = await said(house_of(tmp_path, speech_endpoint, stream_stall_timeout=STALL_S), MESSAGE)
    assert len(speech_endpoint.speech) == 2
    assert heard(answer) == FRAMES


# --- nothing that could be heard ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        pytest.param(Behaviour(audio=b""), "sent no audio", id="nothing"),
        pytest.param(Behaviour(status=204, body=b"", framing=Framing.CLOSE), "sent no audio", id="204"),
        pytest.param(Behaviour.web_page(), "text/html", id="a web page"),
        pytest.param(
            Behaviour(body=Behaviour.web_page().body, content_type="audio/mpeg"), "text", id="a disguised page"
        ),
        pytest.param(Behaviour.answering({"detail": "warming up"}), "application/json", id="JSON"),
        pytest.param(Behaviour(body=DISGUISED_JSON, content_type="audio/pcm"), "text", id="disguised JSON"),
        pytest.param(Behaviour(body=at_rate(0), content_type="audio/wav"), "0 Hz", id="WAV of 0 Hz"),
        pytest.param(
            Behaviour(body=at_rate(4_000_000_000), content_type="audio/wav"), "4000000000 Hz", id="WAV of 4 GHz"
        ),
        pytest.param(Behaviour(content_type="audio/mpeg"), "no MP3", id="frames called MP3"),
        pytest.param(Behaviour(content_type="audio/flac"), "not FLAC", id="frames called FLAC"),
        pytest.param(Behaviour(body=FRAMES, headers={"Content-Encoding": "br"}), "compressed", id="brotli"),
        pytest.param(Behaviour(body=FRAMES, headers={"Content-Encoding": "gzip"}), "damaged", id="no gzip"),
        pytest.param(Behaviour(cut_after_bytes=0), "broke off", id="a reset after the head"),
        pytest.param(Behaviour(raw=CHUNKED + b"zz\r\n"), "broke off", id="no chunk at all"),
        pytest.param(Behaviour(stall_after_bytes=0), "sent nothing for 1 s", id="silence after the head"),
    ],
)
async def test_what_cannot_be_heard_costs_a_moment_and_the_next_one_says_every_word(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, behaviour: Behaviour, words: str
) -> None:
    with SpeechEndpoint(behaviour) as bad:
        answer = await said(house_of(tmp_path, bad, speech_endpoint, stream_stall_timeout=STALL_S), MESSAGE)
    assert heard(answer) == FRAMES
    assert answer["engine"] == speech_endpoint.host
    assert words in answer["note"]
    assert len(bad.speech) == 1
