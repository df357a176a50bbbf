"""What comes out is audio that other people's libraries can read: right in format, length and content."""

from __future__ import annotations

import asyncio
import importlib
import io
from array import array
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest
from pydantic import SecretStr

from tests.speech_server.service import Service
from voice_mcp.parts import build_marker
from voice_mcp.samples.convert import to_samples
from voice_mcp.settings import Settings
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest
from voice_mcp.watermark.detector import detect

soundfile: Any = importlib.import_module("soundfile")  # it has no types

TEXT = "Every word of this has a tone of its own. They follow each other, and none is lost."
RATE_HZ = 24_000
LOSSLESS = ("flac", "wav", "pcm")
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm;rate=24000;channels=1",
    "ogg": "audio/ogg",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(EspeakEngine(), ToneEngine()) as running:
        yield running


def tones(text: str) -> bytes:
    """What the engine itself makes of a text."""

    async def collect() -> bytes:
        stream = await ToneEngine().open(SpeechRequest(text))
        return b"".join([block async for block in stream])

    return asyncio.run(collect())


def spoken(service: Service, format: str, *, model: str = "tone", text: str = TEXT) -> tuple[str, bytes]:
    """Content-Type and body, as OpenAI's SDK streams them."""
    with (
        service.client() as client,
        client.audio.speech.with_streaming_response.create(
            model=model,
            voice="alloy",
            input=text,
            response_format=format,  # type: ignore[arg-type]  # ogg is an addition
        ) as response,
    ):
        return response.headers["content-type"], b"".join(response.iter_bytes())


def decoded(data: bytes, format: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Samples from -1 to 1 at 24 kHz, as PyAV decodes them."""
    if format == "pcm":
        return np.frombuffer(data, "<i2").astype(float) / 32768
    blocks = []
    with av.open(io.BytesIO(data), "r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        for frame in container.decode(audio=0):
            blocks += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        blocks += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(blocks).astype(float) / 32768


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_every_format_is_named_rightly_and_decodes_to_the_whole_text(service: Service, format: str) -> None:
    media_type, data = spoken(service, format)
    assert media_type == MEDIA_TYPES[format]
    heard, meant = decoded(data, format), np.array(array("h", tones(TEXT))) / 32768
    assert abs(len(heard) - len(meant)) <= (0 if format in LOSSLESS else 0.1 * RATE_HZ)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(meant**2)), rel=0.1)
    if format in LOSSLESS:
        assert np.array_equal(heard, meant)


@pytest.mark.parametrize("format", ["mp3", "opus", "wav", "ogg"])
def test_soundfile_reads_it_too(service: Service, format: str) -> None:
    with soundfile.SoundFile(io.BytesIO(spoken(service, format)[1])) as file:
        samples, rate_hz = file.read(), file.samplerate
    assert len(samples) / rate_hz == pytest.approx(len(tones(TEXT)) / 2 / RATE_HZ, abs=0.1)
    assert np.abs(samples).max() > 0.1


@pytest.mark.parametrize("format", ["pcm", "wav", "mp3"])
def test_the_embedded_voice_is_brought_to_the_rate_clients_take_for_granted(service: Service, format: str) -> None:
    engine_frames = asyncio.run(_espeak_frames(TEXT))
    heard = decoded(spoken(service, format, model="tts-1")[1], format)
    assert len(heard) / RATE_HZ == pytest.approx(engine_frames / 22_050, rel=0.1)
    assert np.abs(heard).max() > 0.1


def test_mp3_is_what_comes_when_nothing_is_asked_for(service: Service) -> None:
    answer = service.order(input="Hello there.")
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/mpeg")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert len(decoded(answer.body, "mp3")) > 0.3 * RATE_HZ


def test_speed_is_obeyed(service: Service) -> None:
    normal = service.order(model="tone", input=TEXT, response_format="pcm").body
    fast = service.order(model="tone", input=TEXT, response_format="pcm", speed=2).body
    assert len(fast) == pytest.approx(len(normal) / 2, rel=0.01)


def test_what_cannot_be_spoken_is_said_as_it_stands(service: Service) -> None:
    text = "**Bold** `code` | 😀 \ud83d half"  # seven words for the tones, Markdown or not, and half a character
    assert service.order(model="tone", input=text, response_format="pcm").body == tones(text)


async def _espeak_frames(text: str) -> int:
    engine = EspeakEngine()
    stream = await engine.open(SpeechRequest(text))
    size_bytes = sum([len(block) async for block in stream])
    await engine.aclose()
    return size_bytes // 2


def test_where_a_key_is_set_what_is_sent_is_marked() -> None:
    key = SecretStr("a key of our own")
    text = "A sentence that is spoken by a voice, and takes a few seconds of time. Another one follows it at once."
    with Service(EspeakEngine(), make_marker=build_marker(Settings(watermark_key=key))) as marking:
        answer = marking.order(input=text, response_format="pcm")
    assert detect(to_samples(answer.body), RATE_HZ, key.get_secret_value()).is_marked
    assert not detect(to_samples(answer.body), RATE_HZ, "another key").is_marked
