"""Endpoints that send every format, also one that nobody asked for: what is played is what was said."""

from __future__ import annotations

import sys
import wave
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import av
import numpy as np
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, make_house
from tests.support.stdio import StdioServer, gone
from voice_mcp import StreamingAudioWriter
from voice_mcp.app import App
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

RATE_HZ = 24_000
SECONDS = 2.0
MEDIA_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "ogg": "audio/ogg",
}


def melody() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Two seconds in which every tenth has its own pitch."""
    t = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
    pitch_hz = 300 + 60 * (t * 10).astype(int)
    return (12_000 * np.sin(2 * np.pi * pitch_hz * t)).astype(np.int16)


def encoded(audio_format: str) -> Callable[[str], bytes]:
    """What an endpoint sends for any text."""

    def audio(text: str) -> bytes:
        writer = StreamingAudioWriter(audio_format, RATE_HZ)
        return writer.write_chunk(melody()) + writer.finalize()

    return audio


async def said(house: App) -> dict[str, Any]:
    async with Client(create_server(house)) as client:
        with anyio.fail_after(30):
            result = await client.call_tool("speak", {"message": "Hello there."})
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


def envelope(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The loudest frequency of every tenth of a second of a WAV file, in hertz."""
    with wave.open(str(path)) as saved:
        rate_hz = saved.getframerate()
        samples = np.frombuffer(saved.readframes(saved.getnframes()), np.int16).astype(float)
    loud = np.flatnonzero(np.abs(samples) > 2_000)
    samples = samples[loud[0] : loud[-1] + 1]
    tenth = rate_hz // 10
    blocks = samples[: len(samples) // tenth * tenth].reshape(-1, tenth)
    spectra = np.abs(np.fft.rfft(blocks * np.hanning(tenth), n=4 * tenth, axis=1))
    return np.asarray(spectra.argmax(axis=1) * rate_hz / (4 * tenth))


@pytest.mark.parametrize("one_byte_chunks", [False, True])
@pytest.mark.parametrize("audio_format", ["wav", "mp3", "aac", "flac", "opus", "ogg"])
async def test_what_an_endpoint_sends_is_played_whole_whatever_was_asked_for(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, audio_format: str, one_byte_chunks: bool
) -> None:
    speech_endpoint.always(
        Behaviour(audio=encoded(audio_format), content_type=MEDIA_TYPES[audio_format], one_byte_chunks=one_byte_chunks)
    )
    urls = (speech_endpoint.base_url,)
    result = await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls))
    assert speech_endpoint.speech[0].json["response_format"] == "pcm"
    assert result["duration_s"] == pytest.approx(SECONDS, abs=0.1)
    heard = envelope(Path(result["audio_path"]))
    expected = 300 + 60 * np.arange(len(heard))
    assert len(heard) >= 19
    assert np.median(np.abs(heard - expected)) < 12


@pytest.mark.parametrize("audio_format", ["mp3", "aac", "flac", "opus"])
async def test_the_format_that_is_set_is_asked_for(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, audio_format: str
) -> None:
    speech_endpoint.always(Behaviour(audio=encoded(audio_format), content_type=MEDIA_TYPES[audio_format]))
    urls = (speech_endpoint.base_url,)
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_audio_format=audio_format)
    assert (await said(house))["duration_s"] == pytest.approx(SECONDS, abs=0.1)
    assert speech_endpoint.speech[0].json["response_format"] == audio_format


@pytest.mark.parametrize("audio_format", ["mp3", "aac", "flac", "opus"])
async def test_without_streaming_the_same_is_heard(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, audio_format: str
) -> None:
    speech_endpoint.always(Behaviour(audio=encoded(audio_format), content_type=MEDIA_TYPES[audio_format]))
    urls = (speech_endpoint.base_url,)
    both = []
    for name, streaming_enabled in (("streamed", True), ("whole", False)):
        house = make_house(
            tmp_path / name, tts_engine="openai", tts_base_urls=urls, streaming_enabled=streaming_enabled
        )
        both.append(Path((await said(house))["audio_path"]).read_bytes())
    assert both[0] == both[1]


async def test_damage_in_the_middle_costs_a_moment_and_is_reported(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    def damaged(text: str) -> bytes:
        sound = bytearray(encoded("flac")(text))
        middle = len(sound) // 2
        sound[middle : middle + 64] = bytes(64)
        return bytes(sound)

    speech_endpoint.always(Behaviour(audio=damaged, content_type="audio/flac"))
    urls = (speech_endpoint.base_url,)
    result = await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls))
    assert result["duration_s"] > SECONDS - 0.2
    assert "damaged" in result["note"]
    (line,) = exchanges(tmp_path)
    assert line["metadata"]["decode_errors"] >= 1


async def test_stereo_is_kept_and_more_channels_are_mixed_down(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    urls = (speech_endpoint.base_url,)
    for channels, kept in ((2, 2), (6, 1)):
        writer = StreamingAudioWriter("wav", RATE_HZ, channels)
        sound = writer.write_chunk(array("h", [5_000] * (RATE_HZ * channels)).tobytes()) + writer.finalize()
        speech_endpoint.always(Behaviour(audio=sound, content_type="audio/wav"))
        result = await said(make_house(tmp_path / str(channels), tts_engine="openai", tts_base_urls=urls))
        with wave.open(result["audio_path"]) as saved:
            assert (saved.getnchannels(), saved.getnframes()) == (kept, RATE_HZ)
            assert set(array("h", saved.readframes(RATE_HZ))) == {5_000}


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus", "aac"])
async def test_a_recording_is_usable_up_to_the_last_block_when_the_server_is_killed(
    tmp_path: Path, audio_format: str
) -> None:
    env = {"VOICEMODE_SAVE_AUDIO": "true", "VOICEMODE_AUDIO_SAVE_FORMAT": audio_format}
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        server.begin_speaking("This sentence is one of many and takes its time. " * 10)
        await server.speaking()
        audio_process = await server.audio_process()
        server.process.kill()
        await server.exit_code()
        await gone(audio_process)
    (path,) = (tmp_path / "audio").rglob(f"*.{audio_format}")
    with av.open(str(path)) as container:
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds > 0.25
