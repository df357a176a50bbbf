"""Every setting changes something: one test each, named after it."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import sys
import wave
from array import array
from pathlib import Path
from typing import Any, Literal

import anyio
import av
import numpy as np
import pytest
from mcp import Client
from mcp.types import ElicitResult
from pydantic import SecretStr

from tests.cli.command import Running
from tests.codecs.writer_support import tags_of
from tests.ducking.players import music, volumes
from tests.stt.recognising import sound
from tests.support.behaviour import Behaviour
from tests.support.csm_checkpoint import write_checkpoint
from tests.support.endpoint import SpeechEndpoint
from tests.support.extras import need
from tests.support.fixtures import require_pulse
from tests.support.ggml import LOW_HZ, tone, write_tone_model
from tests.support.house import exchanges, logged_events, make_house
from tests.support.onnx_file import BANDS, HOPS, write_network
from tests.support.onnx_voices import write_kokoro, write_piper
from tests.support.pulse import PulseCard
from tests.support.spoken import said as said_by_the_user
from tests.support.spoken import silence
from tests.support.voice import speak
from tests.support.waiting import eventually, eventually_async
from tests.support.wav import wav
from voice_mcp.app import App
from voice_mcp.core.cues import Cue, CueKind
from voice_mcp.core.endpointing import Endpointer, SpeechPaused
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import EngineError, EngineMissing, ListeningUnavailable, MicrophoneUnavailable, SettingsError
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.openai_client.endpoints import listening_endpoints, speech_endpoints, usable
from voice_mcp.parts import (
    build_csm,
    build_cues,
    build_engines,
    build_neural,
    build_pauses,
    build_turn_model,
    link_config,
    prepared_turn_model,
    turn_rules,
)
from voice_mcp.samples.convert import to_samples
from voice_mcp.server import create_server
from voice_mcp.settings import Settings
from voice_mcp.storage.paths import DataRoot
from voice_mcp.types import LISTENING_FORMAT, RecognitionHints, Sampling, SpeechRequest, Transcript
from voice_mcp.watermark.detector import detect

EAGERNESS: tuple[Literal["careful", "balanced", "quick"], ...] = ("careful", "balanced", "quick")

pytestmark = pytest.mark.anyio


async def said(house: App, message: str = "Hello there.", **arguments: Any) -> dict[str, Any]:
    """What `speak` answers in that house."""
    async with Client(create_server(house)) as client:
        with anyio.fail_after(20):
            result = await client.call_tool("speak", {"message": message, **arguments})
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


def age(path: Path, days: float) -> None:
    moment = path.stat().st_mtime - days * 86_400
    os.utime(path, (moment, moment))


def decoded_s(path: Path) -> float:
    """Seconds of sound in a file, as another library than ours reads it."""
    if path.suffix == ".pcm":
        return path.stat().st_size / 48_000
    with av.open(str(path)) as container:
        return float(sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)))


async def test_base_dir_is_where_everything_is_kept(tmp_path: Path) -> None:
    await said(make_house(tmp_path / "elsewhere"))
    assert exchanges(tmp_path / "elsewhere")


async def test_debug_keeps_audio_and_transcripts(tmp_path: Path) -> None:
    result = await said(make_house(tmp_path, audio_output="null", debug=True))
    assert Path(result["audio_path"]).with_suffix(".txt").is_file()


async def test_save_audio_keeps_the_audio(tmp_path: Path) -> None:
    assert "audio_path" not in await said(make_house(tmp_path / "without", audio_output="null"))
    result = await said(make_house(tmp_path / "with", audio_output="null", save_audio=True))
    assert Path(result["audio_path"]).is_file()


async def test_save_transcriptions_keeps_the_text_next_to_the_audio(tmp_path: Path) -> None:
    result = await said(make_house(tmp_path, save_transcriptions=True))
    assert Path(result["audio_path"]).with_suffix(".txt").read_text() == "Hello there."
    spoken = await said(make_house(tmp_path / "device", audio_output="null", save_transcriptions=True))
    (alone,) = (tmp_path / "device" / "audio" / spoken["conversation_id"]).iterdir()
    assert (alone.name, alone.read_text()) == ("0001_tts.txt", "Hello there.")


async def test_save_all_keeps_both(tmp_path: Path) -> None:
    result = await said(make_house(tmp_path, audio_output="null", save_all=True))
    assert Path(result["audio_path"]).with_suffix(".txt").is_file()


async def test_event_log_enabled_can_be_turned_off(tmp_path: Path) -> None:
    await said(make_house(tmp_path, event_log_enabled=False))
    assert logged_events(tmp_path) == []
    assert exchanges(tmp_path)


async def test_event_log_dir_moves_the_event_log(tmp_path: Path) -> None:
    await said(make_house(tmp_path / "root", event_log_dir=tmp_path / "events"))
    assert list((tmp_path / "events").glob("voicemode_events_*.jsonl"))
    assert logged_events(tmp_path / "root") == []


async def test_conversation_log_enabled_can_be_turned_off(tmp_path: Path) -> None:
    await said(make_house(tmp_path, conversation_log_enabled=False))
    assert exchanges(tmp_path) == []
    assert logged_events(tmp_path)


@pytest.mark.parametrize(("retention_days", "kept"), [(30, False), (90, True), (0, True)])
async def test_retention_days_removes_what_is_older(tmp_path: Path, retention_days: int, kept: bool) -> None:
    old = Path((await said(make_house(tmp_path)))["audio_path"])
    age(old, 60)
    await said(make_house(tmp_path, retention_days=retention_days))
    assert old.exists() is kept


async def test_offline_asks_no_endpoint_beyond_this_machine() -> None:
    urls = ("http://127.0.0.1:1/v1", "https://speech.example.org/v1")
    settings = Settings(tts_base_urls=urls, stt_base_urls=urls, offline=True)
    for endpoints in (speech_endpoints(settings), listening_endpoints(settings)):
        hosts = [endpoint.host for endpoint in usable(endpoints, offline=settings.offline)]
        assert hosts == ["127.0.0.1:1"]


async def test_allow_insecure_keys_sends_a_key_over_plain_http_to_another_machine() -> None:
    given: dict[str, Any] = {"tts_base_urls": ("http://voices.example/v1",), "tts_api_keys": (SecretStr("mine"),)}
    with pytest.raises(SettingsError):
        speech_endpoints(Settings(**given))
    (endpoint,) = speech_endpoints(Settings(**given, allow_insecure_keys=True))
    assert endpoint.api_key == "mine"


async def test_call_limit_s_bounds_converse(tmp_path: Path) -> None:
    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"answer": "Yes."})

    house = make_house(tmp_path, audio_output="null", call_limit_s=0.2)
    async with Client(create_server(house), elicitation_callback=answer) as client:
        result = await client.call_tool("converse", {"message": "This takes longer than that to say."})
    assert result.structured_content is not None
    assert result.structured_content["status"] == "listening"


async def test_tts_base_urls_are_asked_in_order(tmp_path: Path) -> None:
    with SpeechEndpoint(Behaviour.refusing(503)) as first, SpeechEndpoint() as second:
        urls = (first.base_url, second.base_url)
        result = await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls))
    assert len(first.speech) == len(second.speech) == 1
    assert result["engine"] == f"{second.host}:{second.port}" or result["engine"] == second.host


async def test_tts_api_keys_go_to_their_endpoints(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    await said(
        make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,), tts_api_keys=("mine",))
    )
    assert speech_endpoint.speech[0].authorization == "Bearer mine"


async def test_tts_voices_are_preferred_in_order(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    urls = (speech_endpoint.base_url,)
    await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_voices=("nova", "alloy")))
    assert speech_endpoint.speech[0].json["voice"] == "nova"
    assert (await said(make_house(tmp_path, tts_voices=("nova", "square"))))["voice"] == "square"


async def test_tts_models_are_asked_for(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    urls = (speech_endpoint.base_url,)
    await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_models=("kokoro",)))
    assert speech_endpoint.speech[0].json["model"] == "kokoro"


async def test_tts_speed_changes_how_long_it_takes(tmp_path: Path) -> None:
    normal = await said(make_house(tmp_path))
    fast = await said(make_house(tmp_path, tts_speed=2.0))
    assert fast["duration_s"] == pytest.approx(normal["duration_s"] / 2, rel=0.1)


async def test_tts_audio_format_is_what_endpoints_are_asked_for(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    urls = (speech_endpoint.base_url,)
    await said(make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_audio_format="wav"))
    assert speech_endpoint.speech[0].json["response_format"] == "wav"


@pytest.mark.parametrize("engine", ["tone", "espeak"])
async def test_tts_engine_chooses_who_speaks(tmp_path: Path, engine: str) -> None:
    assert (await said(make_house(tmp_path, tts_engine=engine)))["engine"] == engine


async def test_tts_engine_openai_without_any_endpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to speak with"):
        make_house(tmp_path, tts_engine="openai", tts_base_urls=("https://api.openai.com/v1",))


async def test_tts_engine_may_be_csm(tmp_path: Path) -> None:
    need("torch")
    folder = write_checkpoint(tmp_path / "toy")
    answer = await said(make_house(tmp_path, tts_engine="csm", csm_model=str(folder), csm_device="cpu"), "Hi.")
    assert (answer["engine"], answer["voice"]) == ("csm", "0")
    assert answer["duration_s"] == pytest.approx(4.75, abs=0.3)


async def test_csm_model_is_what_csm_looks_for(tmp_path: Path) -> None:
    need("torch")
    (engine,) = build_engines(Settings(tts_engine="csm", csm_model=str(tmp_path)))
    with pytest.raises(EngineMissing, match=re.escape(f"{tmp_path} holds no CSM checkpoint")):
        await engine.check()
    await engine.aclose()


@pytest.mark.parametrize("csm_dtype", ["float32", "bfloat16"])
async def test_csm_dtype_is_what_csm_computes_in(tmp_path: Path, csm_dtype: Literal["float32", "bfloat16"]) -> None:
    need("torch")
    folder = write_checkpoint(tmp_path)
    engine = build_csm(Settings(tts_engine="csm", csm_model=str(folder), csm_device="cpu", csm_dtype=csm_dtype))
    request = SpeechRequest("Hello.", sampling=Sampling(seed=1, most_s=0.4))
    async with asyncio.timeout(20):
        sound = b"".join([block async for block in await engine.open(request)])
    same = build_csm(Settings(csm_model=str(folder), csm_device="cpu", csm_dtype="float32"))
    async with asyncio.timeout(20):
        in_full = b"".join([block async for block in await same.open(request)])
    assert (sound == in_full) == (csm_dtype == "float32")
    await engine.aclose()
    await same.aclose()


async def test_csm_device_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    torch = need("torch")
    absent: Literal["cuda", "mps"] = "mps" if torch.cuda.is_available() else "cuda"
    engine = build_csm(Settings(csm_model=str(tmp_path), csm_device=absent))
    with pytest.raises(EngineError, match=f"finds no {absent} device"):
        await engine.check()
    await engine.aclose()


async def test_csm_voices_are_the_pairs_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Ann.wav").write_bytes(b"")
    (tmp_path / "Ann.txt").write_text("How do you do?")
    (tmp_path / "alone.wav").write_bytes(b"")
    engine = build_csm(Settings(csm_voices=tmp_path))
    assert [voice.name for voice in await engine.voices()] == [*"0123456789", "Ann"]
    assert (engine.knows_voice("ann"), engine.knows_voice("alone")) == (True, False)
    await engine.aclose()


async def test_openai_api_key_makes_openai_worth_asking() -> None:
    urls = ("https://api.openai.com/v1", "https://other.example.org/v1")
    (other,) = usable(speech_endpoints(Settings(tts_base_urls=urls)), offline=False)
    assert (other.host, other.api_key) == ("other.example.org", None)
    settings = Settings(tts_base_urls=urls, openai_api_key="sk-1")
    openai, other = usable(speech_endpoints(settings), offline=False)
    assert (openai.api_key, other.api_key) == ("sk-1", None)


@pytest.mark.parametrize(("tts_cache_mb", "requests"), [(20.0, 2), (0.0, 3), (0.001, 3)])
async def test_tts_cache_mb_is_the_room_for_phrases_that_are_said_often(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, tts_cache_mb: float, requests: int
) -> None:
    urls = (speech_endpoint.base_url,)
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=urls, tts_cache_mb=tts_cache_mb)
    async with Client(create_server(house)) as client:
        for _ in range(3):
            with anyio.fail_after(20):
                assert not (await client.call_tool("speak", {"message": "Tests pass."})).is_error
                assert await anyio.to_thread.run_sync(house.journal.flush, 10)
    assert len(speech_endpoint.speech) == requests


@pytest.mark.parametrize("streaming_enabled", [True, False])
async def test_streaming_enabled_lets_sound_begin_before_all_of_it_is_there(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, streaming_enabled: bool
) -> None:
    speech_endpoint.always(Behaviour(pace=2.0))
    events = EventRecorder()
    house = make_house(
        tmp_path,
        audio_output="null",
        tts_engine="openai",
        tts_base_urls=(speech_endpoint.base_url,),
        streaming_enabled=streaming_enabled,
        events=events,
    )
    await said(house)
    (started,) = events.of(EventType.TTS_PLAYBACK_START)
    ended_s = speech_endpoint.speech[0].ended_s
    assert ended_s is not None
    assert (started.timestamp < house.clock.utc(ended_s)) is streaming_enabled


@pytest.mark.parametrize("output", ["null", "file"])
@pytest.mark.parametrize("audio_save_format", ["wav", "flac", "mp3", "aac", "opus", "ogg", "pcm"])
async def test_audio_save_format_is_the_format_audio_is_kept_in(
    tmp_path: Path, audio_save_format: str, output: str
) -> None:
    house = make_house(tmp_path, audio_output=output, save_audio=True, audio_save_format=audio_save_format)
    result = await said(house, "Hi.")
    path = Path(result["audio_path"])
    assert path.suffix == f".{audio_save_format}"
    assert decoded_s(path) == pytest.approx(result["duration_s"], abs=0.13)
    if audio_save_format in ("flac", "mp3", "opus", "ogg"):  # the others have no room for it, or are written without
        tags = tags_of(audio_save_format, path.read_bytes())
        assert "voice-mcp" in tags.get("synthetic", tags.get("comment", ""))


async def test_stream_chunk_size_bounds_each_piece_without_changing_the_sound(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    assert link_config(Settings(stream_chunk_size=999)).block_bytes == 999
    house = make_house(tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,), stream_chunk_size=999)
    result = await said(house)
    with wave.open(result["audio_path"]) as saved:
        assert saved.readframes(saved.getnframes()) == speech_endpoint.speech[0].audio


async def test_stream_buffer_ms_is_the_most_that_is_collected_before_sound() -> None:
    assert link_config(Settings(stream_buffer_ms=0)).policy.start_s == 0
    assert link_config(Settings(stream_buffer_ms=20)).policy.start_s == pytest.approx(0.02)
    assert link_config(Settings(stream_buffer_ms=1000)).policy.rebuffer_s == pytest.approx(2.0)


async def test_stream_max_buffer_bounds_what_is_taken_ahead_of_the_ear(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    assert link_config(Settings(stream_max_buffer=0.1)).ahead_s == pytest.approx(0.1)
    long = "word " * 80
    house = make_house(
        tmp_path,
        audio_output="null",
        tts_engine="openai",
        tts_base_urls=(speech_endpoint.base_url,),
        stream_max_buffer=0.1,
    )
    async with Client(create_server(house)) as client:
        begun = anyio.Event()

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            if progress > 0.5:
                begun.set()

        async with anyio.create_task_group() as calls:

            async def call() -> None:
                await client.call_tool("speak", {"message": long}, progress_callback=heard)

            calls.start_soon(call)
            with anyio.fail_after(10):
                await begun.wait()
            # 24 s of audio are on offer, at full speed; a second of it has been taken, what is held, and a socket full.
            taken = sum(exchange.sent_bytes for exchange in speech_endpoint.speech)
            calls.cancel_scope.cancel()
    assert taken < 24 * 48_000


async def test_stream_stall_timeout_is_how_long_silence_is_borne(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.then(Behaviour(stall_after_bytes=20_000))
    house = make_house(
        tmp_path, tts_engine="openai", tts_base_urls=(speech_endpoint.base_url,), stream_stall_timeout=0.3
    )
    result = await said(house)
    with wave.open(result["audio_path"]) as saved:
        assert saved.readframes(saved.getnframes()) == speech_endpoint.speech[1].audio


@pytest.mark.parametrize(("output", "status"), [("file", "saved"), ("null", "completed")])
async def test_audio_output_is_where_the_sound_goes(tmp_path: Path, output: str, status: str) -> None:
    assert (await said(make_house(tmp_path, audio_output=output)))["status"] == status


@pytest.mark.skipif(sys.platform != "linux", reason="needs a machine whose devices are known")
async def test_output_device_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="miniaudio", output_device="no such device anywhere")
    async with Client(create_server(house)) as client:
        result = await client.call_tool("speak", {"message": "Hi."})
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"] == "device_unavailable"


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")
@pytest.mark.parametrize("device_wait_s", [0.0, 5.0])
async def test_device_wait_s_is_how_long_speech_waits_for_a_device_that_is_gone(
    tmp_path: Path, device_wait_s: float
) -> None:
    house = make_house(tmp_path, audio_output="null", device_wait_s=device_wait_s)

    async def kill_it(progress: float, total: float | None, message: str | None) -> None:
        if progress > 0.3 and not killed:
            assert house.audio_process_id is not None
            killed.append(house.audio_process_id)
            os.kill(house.audio_process_id, signal.SIGKILL)

    killed: list[int] = []
    async with Client(create_server(house)) as client:
        with anyio.fail_after(20):
            result = await client.call_tool("speak", {"message": "One or two seconds."}, progress_callback=kill_it)
    assert killed
    assert result.is_error is (device_wait_s == 0)


@pytest.mark.parametrize("audio_input", ["null", "file"])
async def test_audio_input_is_what_is_listened_to(tmp_path: Path, audio_input: str) -> None:
    spoken = array("h", range(1, 8001)).tobytes()
    path = tmp_path / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(spoken)
    house = make_house(tmp_path, audio_input=audio_input, input_device=str(path))
    assert house.microphone is not None
    with anyio.fail_after(20):
        try:
            capture = await house.microphone.open()
            heard = b""
            async for sound in capture:
                heard += sound.frames
                if len(heard) >= len(spoken):
                    break
        finally:
            await house.aclose()
    assert heard[: len(spoken)] == (spoken if audio_input == "file" else bytes(len(spoken)))


async def test_audio_input_none_never_listens(tmp_path: Path) -> None:
    assert make_house(tmp_path, audio_input="none").microphone is None


async def test_input_device_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_input="file", input_device=str(tmp_path / "nobody.wav"))
    assert house.microphone is not None
    with anyio.fail_after(20):
        try:
            with pytest.raises(MicrophoneUnavailable, match="nobody.wav"):
                await house.microphone.open()
        finally:
            await house.aclose()


async def test_device_wake_ms_is_silence_that_a_device_gets_before_the_first_word(tmp_path: Path) -> None:
    assert link_config(Settings(device_wake_ms=250)).wake_s == pytest.approx(0.25)
    house = make_house(tmp_path, audio_output="null", device_wake_ms=600)
    async with Client(create_server(house)) as client:
        first = (await client.call_tool("speak", {"message": "Hi."})).structured_content
        again = (await client.call_tool("speak", {"message": "Hi."})).structured_content
    assert first is not None
    assert again is not None
    assert first["ttfa_ms"] >= 600 > again["ttfa_ms"]


@pytest.mark.pulse
@pytest.mark.parametrize(("output_channels", "opened"), [(None, "s16le 1ch"), (4, "s16le 4ch")])
async def test_output_channels_is_what_the_device_is_opened_with(
    tmp_path: Path,
    pulse_card: PulseCard,
    monkeypatch: pytest.MonkeyPatch,
    output_channels: int | None,
    opened: str,
) -> None:
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    house = make_house(tmp_path, audio_output="sounddevice", output_channels=output_channels)
    async with Client(create_server(house)) as client:
        await client.call_tool("speak", {"message": "Hi."})
        streams = pulse_card.control("list", "sink-inputs")  # the device stays open for the next words
    assert opened in streams


@pytest.mark.pulse
@pytest.mark.parametrize(
    ("pan", "channels", "louder"),
    [(-0.8, None, "left"), (0.8, None, "right"), (0.0, None, "neither"), (0.8, 1, "right")],
)
async def test_pan_is_where_the_voice_sits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pan: float, channels: int | None, louder: str
) -> None:
    require_pulse()
    with PulseCard(channels=2) as card:
        for name, value in card.env.items():
            monkeypatch.setenv(name, value)
        await said(make_house(tmp_path, audio_output="sounddevice", pan=pan, output_channels=channels))
        sides = array("h", card.capture.data())
    left, right = (max(map(abs, sides[side::2])) for side in (0, 1))
    assert louder == ("neither" if left == right else "left" if left > right else "right")


async def test_whenever_s_is_how_long_a_message_that_has_time_waits(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null", whenever_s=0.1)
    async with Client(create_server(house)) as client:
        with anyio.fail_after(20):
            async with house.speaker.floor.turn(lambda in_front: None):
                late = await client.call_tool("speak", {"message": "By the way.", "urgency": "whenever"})
            urgent = await client.call_tool("speak", {"message": "But this is.", "urgency": "now"})
    assert late.structured_content is not None
    assert (late.structured_content["status"], late.structured_content["heard"]) == ("interrupted", "")
    assert late.structured_content["unheard"] == "By the way."
    assert "nobody would listen within 0.1 s" in late.structured_content["note"]
    assert urgent.structured_content is not None
    assert urgent.structured_content["status"] == "completed"


async def test_agent_voices_are_for_agents_that_ask_for_none(tmp_path: Path) -> None:
    assert (await said(make_house(tmp_path, tts_voices=("sine",), agent_voices=("square",))))["voice"] == "square"
    assert (await said(make_house(tmp_path, agent_voices=("square",)), voice="sine"))["voice"] == "sine"
    assert (await said(make_house(tmp_path, tts_voices=("sine",))))["voice"] == "sine"


@pytest.mark.pulse
@pytest.mark.skipif(sys.platform != "linux", reason="offered where there is PulseAudio")
@pytest.mark.parametrize("ducking", [0.0, 0.25])
async def test_ducking_is_what_is_left_of_other_programs_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pulse_card: PulseCard, ducking: float
) -> None:
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    levels: set[int] = set()

    async def look(progress: float, total: float | None, message: str | None) -> None:
        levels.add(volumes(pulse_card)[number])

    house = make_house(tmp_path, audio_output="sounddevice", ducking=ducking)
    with music(pulse_card) as number:
        async with Client(create_server(house)) as client:
            with anyio.fail_after(30):
                message = "While this is said nobody else is as loud as before. " * 2
                await client.call_tool("speak", {"message": message}, progress_callback=look)
        assert volumes(pulse_card)[number] == 100
    assert (25 in levels) is (ducking == 0.25)


async def test_pan_auto_gives_each_conversation_a_place_of_its_own(tmp_path: Path) -> None:
    seating = make_house(tmp_path, pan="auto").speaker.seating
    assert seating.pan("one") != seating.pan("another")


def test_turn_model_is_what_judges_a_turn_by_its_sound(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime has no wheel here")
    root = DataRoot(tmp_path)
    assert build_turn_model(Settings(turn_model="auto"), root) is None
    wanted = build_turn_model(Settings(turn_model="smart_turn"), root)
    assert wanted is not None
    with pytest.raises(ListeningUnavailable, match="needs the weights"):
        wanted.prepare()
    (tmp_path / "models").mkdir()
    write_network(tmp_path / "models" / "smart-turn.onnx", np.zeros((BANDS, HOPS), np.float32))
    there = build_turn_model(Settings(turn_model="auto"), root)
    assert there is not None
    assert there.completeness(bytes(64_000)) == pytest.approx(0.5)
    assert build_turn_model(Settings(turn_model="none"), root) is None


def test_a_turn_model_that_nobody_asked_for_by_name_and_that_is_of_no_use_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime has no wheel here")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "smart-turn.onnx").write_bytes(b"no network")
    assert prepared_turn_model(Settings(turn_model="auto"), DataRoot(tmp_path)) is None
    assert "`voice-mcp models install smart-turn` again" in caplog.text
    with pytest.raises(ListeningUnavailable, match="cannot be used"):
        prepared_turn_model(Settings(turn_model="smart_turn"), DataRoot(tmp_path))


def test_turn_eagerness_is_how_soon_a_turn_is_over_that_sounds_complete() -> None:
    silences = [build_pauses(Settings(turn_eagerness=each)).silence_after(1.0) for each in EAGERNESS]
    assert silences == sorted(silences, reverse=True)
    assert len(set(silences)) == len(EAGERNESS)


def test_end_word_ends_a_turn() -> None:
    cues = build_cues(Settings(end_word="roger"))
    assert cues.of("Close the file. Roger.") == Cue(CueKind.END_WORD, "Close the file.", is_clear_end=True)
    assert build_cues(Settings()).of("Close the file. Roger.").kind is CueKind.ANSWER


def test_wait_phrases_ask_for_time() -> None:
    assert build_cues(Settings(wait_phrases=("warte mal",))).of("Äh, warte mal.").kind is CueKind.WAIT
    assert build_cues(Settings(wait_phrases=("warte mal",))).of("Wait.").kind is CueKind.ANSWER


@pytest.mark.parametrize("wait_s", [5.0, 20.0])
def test_wait_s_is_how_much_silence_who_asks_for_time_is_granted(wait_s: float) -> None:
    turn = Endpointer(0.1, build_pauses(Settings()), turn_rules(Settings(wait_s=wait_s)))
    told = [made for _ in range(10) if (made := turn.add(0.9))] + [made for _ in range(4) if (made := turn.add(0.0))]
    paused = told[-1]
    assert isinstance(paused, SpeechPaused)
    turn.understand(paused, build_cues(Settings()).of("Hold on."))
    (ended,) = [made for _ in range(600) if (made := turn.add(0.0))]
    assert ended.at_s - paused.speech_end_s == pytest.approx(wait_s, abs=0.11)


def test_repeat_phrases_ask_to_hear_it_again() -> None:
    assert build_cues(Settings(repeat_phrases=("wie bitte",))).of("Wie bitte?").kind is CueKind.REPEAT
    assert build_cues(Settings(repeat_phrases=("wie bitte",))).of("Repeat that.").kind is CueKind.ANSWER


@pytest.mark.parametrize("control_enabled", [True, False])
async def test_control_enabled_is_whether_there_is_a_door(tmp_path: Path, control_enabled: bool) -> None:
    house = make_house(tmp_path, audio_output="null", control_enabled=control_enabled)
    async with Client(create_server(house)) as client:
        await client.call_tool("speak", {"message": "Hi."})
        if control_enabled:
            await eventually_async(lambda: house.door.is_open, 20)
        assert house.door.is_open is control_enabled
        assert bool(list((tmp_path / "run").glob("*.sock"))) is control_enabled


async def test_pause_limit_s_is_how_long_a_message_can_be_paused(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null", pause_limit_s=0.2)

    async def pause(progress: float, total: float | None, message: str | None) -> None:
        await house.controls.pause()

    async with Client(create_server(house)) as client:
        with anyio.fail_after(20):
            result = await client.call_tool("speak", {"message": "Pause here."}, progress_callback=pause)
    assert result.structured_content is not None
    assert result.structured_content["status"] == "interrupted"


async def test_barge_in_is_whether_somebody_listens_while_the_agent_speaks(tmp_path: Path) -> None:
    assert make_house(tmp_path).barge_in() is None
    assert make_house(tmp_path, barge_in="headphones").barge_in() is not None
    house = make_house(tmp_path, audio_output="null", barge_in="on")
    assert house.barge_in() is not None
    await said(house)
    assert house.played is not None
    assert any(house.played.read(house.clock.now() - 1.5, 24_000))


def test_speech_server_token_is_asked_of_every_client(tmp_path: Path) -> None:
    def health(server: Running, **headers: str) -> int:
        told = eventually(lambda: re.search(r"127\.0\.0\.1:\d+", server.errors), 20)
        assert told is not None
        connection = http.client.HTTPConnection(told[0], timeout=20)
        connection.request("GET", "/health", headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with Running(tmp_path / "open", "speech-server", "--port", "0") as server:
        assert health(server) == 200
    with Running(tmp_path / "closed", "speech-server", "--port", "0", VOICEMODE_SPEECH_SERVER_TOKEN="mine") as server:
        assert health(server) == 401
        assert health(server, Authorization="Bearer mine") == 200


async def heard(house: App) -> Transcript:
    """What that house makes of half a second of sound."""
    with anyio.fail_after(20):
        try:
            return await house.transcriber.transcribe(sound(), Trail(house.archive, "conv_1", "utt_1"))
        finally:
            await house.aclose()


async def test_stt_base_urls_are_asked_in_their_order(tmp_path: Path) -> None:
    with SpeechEndpoint(Behaviour(), hears="First.") as first, SpeechEndpoint(hears="Second.") as second:
        first.hear_next("First.", Behaviour.refusing(503))
        urls = (first.base_url, second.base_url)
        assert (await heard(make_house(tmp_path, stt_base_urls=urls))).engine == first.host
        assert (await heard(make_house(tmp_path, stt_base_urls=urls))).engine == second.host


async def test_stt_api_keys_go_to_their_endpoints(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    await heard(make_house(tmp_path, stt_base_urls=(speech_endpoint.base_url,), stt_api_keys=("mine",)))
    assert [exchange.authorization for exchange in speech_endpoint.transcriptions] == ["Bearer mine"]


async def test_stt_model_is_what_endpoints_are_asked_for(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    transcript = await heard(make_house(tmp_path, stt_base_urls=(speech_endpoint.base_url,), stt_model="large-v3"))
    assert transcript.model == speech_endpoint.transcriptions[0].upload.fields["model"] == "large-v3"


async def test_stt_prompt_is_handed_on(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    await heard(make_house(tmp_path, stt_base_urls=(speech_endpoint.base_url,), stt_prompt="Kokoro"))
    assert speech_endpoint.transcriptions[0].upload.fields["prompt"] == "Kokoro"


@pytest.mark.parametrize(("given", "sent"), [("de", "de"), ("en-US", "en"), ("auto", None)])
@pytest.mark.parametrize("name", ["VOICEMODE_STT_LANGUAGE", "VOICEMODE_WHISPER_LANGUAGE"])
async def test_stt_language_is_handed_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    speech_endpoint: SpeechEndpoint,
    name: str,
    given: str,
    sent: str | None,
) -> None:
    monkeypatch.setenv(name, given)
    await heard(make_house(tmp_path, stt_base_urls=(speech_endpoint.base_url,)))
    assert speech_endpoint.transcriptions[0].upload.fields.get("language") == sent


async def test_stt_engine_chooses_who_is_asked(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    urls = (speech_endpoint.base_url,)
    for engine in ("auto", "openai"):
        assert (await heard(make_house(tmp_path, stt_engine=engine, stt_base_urls=urls))).text == "Yes, please."
    with pytest.raises(ListeningUnavailable):
        await heard(make_house(tmp_path, stt_engine="none", stt_base_urls=urls))
    with pytest.raises(SettingsError, match="VOICEMODE_STT_ENGINE=openai"):
        make_house(tmp_path, stt_engine="openai", stt_base_urls=("https://api.openai.com/v1",))


async def test_default_listen_duration_is_the_longest_turn(tmp_path: Path) -> None:
    result = await listened(tmp_path, said_by_the_user(), default_listen_duration=1)
    assert (result["status"], result["listen_s"]) == ("answered", pytest.approx(1, abs=0.1))


async def listened(base_dir: Path, sound: bytes, **given: Any) -> dict[str, Any]:
    """What `converse` answers when the microphone hears that; the recogniser understands all of it."""
    recording = base_dir / "heard.wav"
    recording.write_bytes(wav(sound, LISTENING_FORMAT))
    with SpeechEndpoint(hears="The port is eight thousand") as endpoint:
        values: dict[str, Any] = {
            "audio_input": "file",
            "input_device": str(recording),
            "audio_output": "null",
            "stt_base_urls": (endpoint.base_url,),
            **given,
        }
        async with Client(create_server(make_house(base_dir, **values))) as client:
            with anyio.fail_after(40):
                result = await client.call_tool("converse", {})
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


async def test_silence_threshold_ms_is_the_silence_that_ends_a_turn(tmp_path: Path) -> None:
    # In one breath: from a pause that is gone on from, the silence learns.
    breath = said_by_the_user(number=5, pause_s=0.0)
    short = await listened(tmp_path, breath, silence_threshold_ms=300)
    long = await listened(tmp_path, breath, silence_threshold_ms=3_000)
    assert long["end_of_turn_ms"] >= 2_900
    assert short["end_of_turn_ms"] < long["end_of_turn_ms"] - 1_000


async def test_no_speech_timeout_s_is_how_long_somebody_is_waited_for(tmp_path: Path) -> None:
    result = await listened(tmp_path, silence(0.1), no_speech_timeout_s=1.5)
    assert (result["status"], result["listen_s"]) == ("no_speech", pytest.approx(1.5, abs=0.1))


@pytest.mark.pulse
@pytest.mark.parametrize("audio_feedback", [True, False])
async def test_audio_feedback_plays_chimes(tmp_path: Path, audio_feedback: bool, monkeypatch: Any) -> None:
    with PulseCard() as card:
        for name, value in card.env.items():
            monkeypatch.setenv(name, value)
        given = {"audio_output": "sounddevice", "audio_feedback": audio_feedback, "no_speech_timeout_s": 1}
        await listened(tmp_path, silence(0.1), **given)
        assert any(card.captured()) is audio_feedback


async def test_stt_engine_may_be_a_recogniser_of_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx has no wheel here")
    house = make_house(tmp_path, stt_engine="sphinx")
    (recognizer,) = house.transcriber.roster.engines
    assert (await recognizer.transcribe(await speak("yes", speed=0.9), RecognitionHints())).text == "yes"
    await house.aclose()


async def test_kokoro_model_is_what_kokoro_speaks_with(tmp_path: Path) -> None:
    need("kokoro_onnx")
    model, _ = write_kokoro(tmp_path / "weights")
    answer = await said(make_house(tmp_path, tts_engine="kokoro", kokoro_model=str(model)))
    assert (answer["engine"], answer["voice"], answer["status"]) == ("kokoro", "af_heart", "saved")


async def test_piper_voice_is_who_speaks_for_piper(tmp_path: Path) -> None:
    need("piper")
    path = write_piper(tmp_path / "weights", "en_US-hum-low")
    answer = await said(make_house(tmp_path, tts_engine="piper", piper_voice=str(path)))
    assert (answer["engine"], answer["voice"]) == ("piper", "en_US-hum-low")


async def test_pocket_model_is_the_folder_that_pocket_speaks_from(tmp_path: Path) -> None:
    for own, folder in ((None, "models/pocket/languages/english"), (tmp_path / "own", "own")):
        engine = build_neural(Settings(base_dir=tmp_path, pocket_model=own), "pocket")
        assert engine.model == Path(folder).name
        with pytest.raises(EngineMissing, match=re.escape(str(tmp_path / folder))):
            await engine.voices()


async def test_whisper_model_is_what_whisper_listens_with(tmp_path: Path) -> None:
    pytest.importorskip("_pywhispercpp", reason="pywhispercpp has no wheel here")
    own = write_tone_model(tmp_path / "own.bin", yes=" indeed")
    house = make_house(tmp_path, stt_engine="whisper", whisper_model=str(own))
    (recognizer,) = house.transcriber.roster.engines
    transcript = await recognizer.transcribe(tone(LOW_HZ), RecognitionHints())
    assert (transcript.text, transcript.engine, transcript.model) == ("indeed", "whisper", "own.bin")
    await house.aclose()


async def test_whisper_model_listens_after_the_endpoints_once_it_is_there(tmp_path: Path) -> None:
    pytest.importorskip("_pywhispercpp", reason="pywhispercpp has no wheel here")
    names = []
    for model in ("base", str(write_tone_model(tmp_path / "own.bin"))):
        house = make_house(tmp_path, whisper_model=model, stt_base_urls=("http://127.0.0.1:1/v1",))
        names.append([recognizer.name for recognizer in house.transcriber.roster.engines])
        await house.aclose()
    assert names == [["127.0.0.1:1"], ["127.0.0.1:1", "whisper"]]


@pytest.mark.parametrize("key", [None, "a key of our own"])
async def test_watermark_key_marks_what_is_said_and_nothing_else_is_changed(tmp_path: Path, key: str | None) -> None:
    text = "One after the other, many short sentences are said. Each of them is a request. They bear one mark. All do."
    given = SecretStr(key) if key is not None else None
    house = make_house(tmp_path, tts_engine="espeak", save_audio=True, watermark_key=given)
    result = await said(house, text)
    with wave.open(result["audio_path"]) as file:
        samples = to_samples(file.readframes(file.getnframes()))
        rate_hz = file.getframerate()
    assert result["duration_s"] == pytest.approx(len(samples) / rate_hz, abs=0.001)
    assert detect(samples, rate_hz, "a key of our own").is_marked == (key is not None)
    assert not detect(samples, rate_hz, "another key").is_marked


async def test_no_setting_is_without_a_test() -> None:
    tested = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    untested = [name for name in Settings.model_fields if not any(test.startswith(name) for test in tested)]
    assert untested == []
