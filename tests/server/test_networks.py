"""Speech over bad networks, in every format: nothing is missing, nothing comes twice, and every gap is counted.

Most of these speak into a file, which the real audio process writes: it keeps no time, so what is judged there is what
is said. Gaps are judged at a sound card.
"""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events, make_house
from tests.support.netem import Namespace, bucket, missing_for_qdisc, netem
from tests.support.network import Network
from tests.support.pattern import Verdict, judge, pattern
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from tests.support.wav import wav
from tests.support.weather import HOTEL, LAN, MOBILE_4G, WEATHER, Profile, cut, hang, outage, slower_than
from voice_mcp import StreamingAudioWriter
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio

RATE_HZ = 24_000
STALL_S = 1.0
"""What the house waits for a byte before it takes an endpoint for hung: short, so that the tests are."""
OUTAGE_S = 0.5
MEDIA_TYPES = {
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "opus": "audio/ogg",
    "ogg": "audio/ogg",
}
LOSSLESS = ("pcm", "wav", "flac")
SECONDS = dict.fromkeys(MEDIA_TYPES, 1.2) | {"ogg": 3.6}
"""How long the speech is."""
MIDDLE = dict.fromkeys(MEDIA_TYPES, 0.5) | {"ogg": 0.92}
"""Where something happens, as a share of the bytes: with some sound before it. An Ogg Vorbis stream begins with
kilobytes of tables, and its pages hold more than a second each."""
MESSAGE = "Hello there, over a bad network."
FIRST_HZ, STEP_HZ = 300, 60

Audio = np.ndarray[Any, np.dtype[np.int16]]


def melody(seconds: float) -> Audio:
    """Sound in which every tenth of a second has its own pitch, a step above the one before."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = FIRST_HZ + STEP_HZ * (t * 10).astype(int)
    return (12_000 * np.sin(2 * np.pi * pitch_hz * t)).astype(np.int16)


@cache
def body_of(audio_format: str) -> bytes:
    """What the endpoint sends: a pattern that can be recognised sample by sample where the format keeps samples."""
    if audio_format == "pcm":
        return reference()
    if audio_format == "wav":
        return wav(reference(), data_size=0xFFFFFFFF)
    sound = reference() if audio_format in LOSSLESS else melody(SECONDS[audio_format]).tobytes()
    writer = StreamingAudioWriter(audio_format, RATE_HZ)
    return writer.write_chunk(sound) + writer.finalize()


@cache
def reference() -> bytes:
    """What is said in formats that keep every sample."""
    return pattern(int(SECONDS["pcm"] * RATE_HZ))


FAULTS: dict[str, Callable[[str], Profile]] = {
    "outage": lambda audio_format: outage(middle(audio_format), OUTAGE_S),
    "0.9 x": lambda audio_format: slower_than(len(body_of(audio_format)) / SECONDS[audio_format]),
    "cut": lambda audio_format: cut(middle(audio_format)),
    "hang": lambda audio_format: hang(middle(audio_format)),
}
CALM = {profile.name: profile for profile in WEATHER}


def middle(audio_format: str) -> int:
    return round(MIDDLE[audio_format] * len(body_of(audio_format)))


def network(name: str, audio_format: str) -> Profile:
    """The network of that name, which befalls the middle of an answer in this format."""
    return CALM[name] if name in CALM else FAULTS[name](audio_format)


def said_in(path: Path) -> tuple[int, bytes]:
    with wave.open(str(path)) as saved:
        return saved.getframerate(), saved.readframes(saved.getnframes())


def assert_melody(seconds: float, rate_hz: int, sound: bytes) -> None:
    """As long as it was, and its pitch climbs step by step: a part that is missing or repeated breaks the climb."""
    samples = np.frombuffer(sound, np.int16).astype(float)
    loud = np.flatnonzero(np.abs(samples) > 1_000)
    samples = samples[loud[0] : loud[-1] + 1]
    assert len(samples) / rate_hz == pytest.approx(seconds, abs=0.04)
    tenth = rate_hz // 10
    blocks = samples[: len(samples) // tenth * tenth].reshape(-1, tenth)
    spectra = np.abs(np.fft.rfft(blocks * np.hanning(tenth), n=4 * tenth, axis=1))
    heard_hz = spectra.argmax(axis=1) * rate_hz / (4 * tenth)
    assert heard_hz == pytest.approx(FIRST_HZ + STEP_HZ * np.arange(len(heard_hz)), abs=STEP_HZ / 2)


@pytest.mark.parametrize("audio_format", MEDIA_TYPES)
@pytest.mark.parametrize("name", [*CALM, *FAULTS])
async def test_what_is_said_over_a_bad_network_is_said_once_and_whole(
    tmp_path: Path, name: str, audio_format: str
) -> None:
    sending = Behaviour(body=body_of(audio_format), content_type=MEDIA_TYPES[audio_format])
    with SpeechEndpoint(sending) as endpoint, Network(endpoint.port, network(name, audio_format)) as between:
        result = await said(tmp_path, between.base_url)
    rate_hz, sound = said_in(Path(result["audio_path"]))
    assert result["duration_s"] == pytest.approx(len(sound) / 2 / rate_hz, abs=0.001)
    if audio_format in LOSSLESS:
        verdict = judge(sound, reference())
        assert verdict.exact, verdict
    else:
        assert_melody(SECONDS[audio_format], rate_hz, sound)
    assert len(between.passages) == (2 if name in ("cut", "hang") else 1)


async def said(base_dir: Path, base_url: str) -> dict[str, Any]:
    """Speak into a file; return the result."""
    house = make_house(base_dir, tts_engine="openai", tts_base_urls=(base_url,), stream_stall_timeout=STALL_S)
    async with Client(create_server(house)) as client:
        with anyio.fail_after(30):
            result = await client.call_tool("speak", {"message": MESSAGE})
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


# --- through the kernel -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", WEATHER, ids=lambda profile: profile.name)
async def test_what_is_said_through_the_kernels_own_bad_network_is_said_once_and_whole(
    tmp_path: Path, profile: Profile
) -> None:
    if (missing := missing_for_qdisc("netem", "delay", "1ms")) is not None:
        pytest.skip(f"no netem: {missing}")
    client, server = netem(profile)
    with Namespace(client=client, server=server) as namespace:
        await assert_said_through(namespace, tmp_path)


async def test_what_is_said_through_the_kernels_own_narrow_line_is_said_once_and_whole(tmp_path: Path) -> None:
    narrow = bucket(slower_than(2 * RATE_HZ))
    if (missing := missing_for_qdisc(*narrow)) is not None:
        pytest.skip(f"no token bucket: {missing}")
    with Namespace(server=narrow) as namespace:
        await assert_said_through(namespace, tmp_path)


async def assert_said_through(namespace: Namespace, base_dir: Path) -> None:
    with (
        SpeechEndpoint(Behaviour(audio=reference())) as endpoint,
        Network(endpoint.port, listener=namespace.listen()) as far,
    ):
        result = await said(base_dir, far.base_url)
    verdict = judge(said_in(Path(result["audio_path"]))[1], reference())
    assert verdict.exact, verdict


# --- at the sound card ------------------------------------------------------------------------------------------


@pytest.fixture
def long() -> Iterator[bytes]:
    """Three seconds, so that a sound card is ahead of the network or behind it."""
    yield pattern(3 * RATE_HZ, seed=1)


@asynccontextmanager
async def on_the_card(base_dir: Path, card: PulseCard, network: Network, stall_s: float) -> AsyncIterator[StdioServer]:
    env = {
        **card.env,
        "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": network.base_url,
        "VOICEMODE_STREAM_STALL_TIMEOUT": str(stall_s),
    }
    async with StdioServer(base_dir, env) as server:
        await server.initialize()
        yield server


async def at_the_card(
    base_dir: Path, card: PulseCard, audio: bytes, profile: Profile, pace: float, stall_s: float = 3.0
) -> tuple[Verdict, int]:
    """Speak over the network on the card; what the card got, and how many gaps were reported."""
    with SpeechEndpoint(Behaviour(audio=audio, pace=pace)) as endpoint, Network(endpoint.port, profile) as network:
        async with on_the_card(base_dir, card, network, stall_s) as server:
            result = (await server.answer(server.begin_speaking(MESSAGE)))["result"]
    assert not result["isError"], result
    assert result["structuredContent"]["duration_s"] == pytest.approx(len(audio) / 48_000, abs=0.001)
    return judge(card.captured(), audio), result["structuredContent"]["underruns"]


def assert_all_heard(verdict: Verdict) -> None:
    """Every frame came once. At either end of a gap one may be faded to nothing, and so look like a part of it."""
    assert verdict.repeated == 0, verdict
    assert verdict.missing <= 2 * len(verdict.gaps), verdict


@pytest.mark.pulse
@pytest.mark.parametrize(
    ("profile", "pace"),
    [(MOBILE_4G, 2.0), (HOTEL, 1.2), (slower_than(48_000), 2.0), (cut(72_000), 2.0), (hang(72_000), 1.2)],
    ids=lambda value: getattr(value, "name", None),
)
async def test_the_gaps_in_the_recording_are_the_gaps_that_are_reported(
    tmp_path: Path, pulse_card: PulseCard, long: bytes, profile: Profile, pace: float
) -> None:
    verdict, reported = await at_the_card(tmp_path, pulse_card, long, profile, pace, stall_s=STALL_S)
    assert_all_heard(verdict)
    assert reported == len(verdict.gaps), verdict


async def test_a_fast_server_that_has_to_wait_for_the_ear_is_still_known_as_fast(tmp_path: Path) -> None:
    env = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_STREAM_MAX_BUFFER": "1.0"}
    with SpeechEndpoint(Behaviour(pace=4.0)) as endpoint:
        async with StdioServer(tmp_path, {**env, "VOICEMODE_TTS_BASE_URLS": endpoint.base_url}) as server:
            await server.initialize()
            result = (await server.answer(server.begin_speaking(f"{MESSAGE} {MESSAGE} {MESSAGE}")))["result"]
    (ending,) = (e["data"] for e in logged_events(tmp_path) if e["event_type"] == "TTS_PLAYBACK_END")

    assert result["structuredContent"]["duration_s"] > 4, "it was heard at the pace of speech"
    assert ending["pace"] > 2.5


@pytest.mark.pulse
async def test_an_outage_that_is_shorter_than_what_is_held_is_not_heard(
    tmp_path: Path, pulse_card: PulseCard, long: bytes
) -> None:
    verdict, reported = await at_the_card(tmp_path, pulse_card, long, outage(110_000, 1.0, LAN), 4.0)
    assert verdict.exact, verdict
    assert reported == 0


@pytest.mark.pulse
async def test_an_outage_that_is_longer_than_what_is_held_is_one_gap(
    tmp_path: Path, pulse_card: PulseCard, long: bytes
) -> None:
    verdict, reported = await at_the_card(tmp_path, pulse_card, long, outage(72_000, 1.0, LAN), 1.0)
    assert_all_heard(verdict)
    assert reported == len(verdict.gaps) == 1
