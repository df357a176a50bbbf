"""Neural voices in the house: chosen by name, found where they are installed, passed over where they are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np
import pytest
from mcp import Client

from tests.support.extras import need
from tests.support.house import make_house
from tests.support.onnx_voices import write_kokoro, write_piper
from tests.support.ports import refusing_port
from voice_mcp.app import App
from voice_mcp.cli.speech_server import local_engines
from voice_mcp.errors import EngineMissing
from voice_mcp.library.tts import TTS
from voice_mcp.parts import build_engines
from voice_mcp.server import create_server
from voice_mcp.settings import Settings
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.options import Options
from voice_mcp.speech_server.run import SpeechServer, run_service

need("kokoro_onnx")
need("piper")
pytestmark = pytest.mark.anyio

WAIT_S = 20.0
VOICE = "en_US-hum-low"


async def said(house: App, message: str = "Hello there.", **arguments: Any) -> dict[str, Any]:
    """What `speak` answers in that house."""
    async with Client(create_server(house)) as client:
        with anyio.fail_after(WAIT_S):
            result = await client.call_tool("speak", {"message": message, **arguments})
    assert result.structured_content is not None, result.content
    answer: dict[str, Any] = result.structured_content
    return answer


def kokoro_in(folder: Path) -> str:
    """Weights of one's own, as a setting names them."""
    return str(write_kokoro(folder / "weights")[0])


def names(settings: Settings) -> list[str]:
    return [engine.name for engine in build_engines(settings)]


# --- weights -----------------------------------------------------------------------------------------------------


async def test_a_voice_of_piper_is_found_by_its_name_in_the_folder_of_models(tmp_path: Path) -> None:
    write_piper(tmp_path / "models", VOICE)
    write_piper(tmp_path / "models", "en_GB-other-low")
    house = make_house(tmp_path, tts_engine="piper", piper_voice=VOICE)
    assert (await said(house, voice="en_GB-other-low"))["voice"] == "en_GB-other-low"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"tts_engine": "kokoro"}, "Run `voice-mcp models install kokoro`."),
        ({"tts_engine": "kokoro", "kokoro_model": "smart-turn"}, "Run `voice-mcp models install smart-turn`."),
        ({"tts_engine": "kokoro", "kokoro_model": "kokro"}, "Did you mean kokoro?"),
        ({"tts_engine": "piper"}, "Run `voice-mcp models install en_US-ljspeech-medium`."),
        ({"tts_engine": "piper", "piper_voice": "de_DE-torsten-medium"}, "Did you mean de_DE-thorsten-medium?"),
    ],
)
async def test_weights_of_a_voice_that_are_not_there_are_told_with_what_brings_them(
    tmp_path: Path, given: dict[str, Any], hint: str
) -> None:
    (engine,) = build_engines(Settings(base_dir=tmp_path, **given))
    with pytest.raises(EngineMissing) as missing:
        await engine.check()
    assert missing.value.hint == hint
    await engine.aclose()


async def test_a_network_of_kokoro_needs_its_voices_next_to_it(tmp_path: Path) -> None:
    model, voices = write_kokoro(tmp_path)
    voices.unlink()
    (engine,) = build_engines(Settings(base_dir=tmp_path, tts_engine="kokoro", kokoro_model=str(model)))
    with pytest.raises(EngineMissing, match=r"There are 0 files voices\*.bin"):
        await engine.check()
    await engine.aclose()


# --- auto --------------------------------------------------------------------------------------------------------


async def test_installed_neural_voices_come_after_the_endpoints_and_before_the_embedded_voice(tmp_path: Path) -> None:
    given: dict[str, Any] = {"base_dir": tmp_path, "tts_base_urls": ("http://127.0.0.1:1/v1",)}
    assert names(Settings(**given)) == ["127.0.0.1:1", "espeak"]
    piper = str(write_piper(tmp_path / "weights", VOICE))
    assert names(Settings(**given, piper_voice=piper)) == ["127.0.0.1:1", "piper", "espeak"]
    both = {**given, "piper_voice": piper, "kokoro_model": kokoro_in(tmp_path)}
    assert names(Settings(**both)) == ["127.0.0.1:1", "kokoro", "piper", "espeak"]
    assert names(Settings(**both, tts_engine="espeak")) == ["espeak"]
    assert names(Settings(**both, tts_engine="openai")) == ["127.0.0.1:1"]


async def test_an_endpoint_that_is_not_there_leaves_the_word_to_a_neural_voice(tmp_path: Path) -> None:
    with refusing_port() as port:
        urls = (f"http://127.0.0.1:{port}/v1",)
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=urls, kokoro_model=kokoro_in(tmp_path))
        answer = await said(house)
    assert answer["engine"] == "kokoro"
    assert "kokoro spoke instead." in answer["note"]


async def test_a_neural_voice_that_cannot_be_loaded_leaves_the_word_to_the_next_one(tmp_path: Path) -> None:
    model, _ = write_kokoro(tmp_path / "weights")
    model.write_bytes(b"not what it was")
    house = make_house(
        tmp_path,
        tts_engine="auto",
        tts_base_urls=(),
        kokoro_model=str(model),
        piper_voice=str(write_piper(tmp_path / "weights", VOICE)),
    )
    answer = await said(house)
    assert answer["engine"] == "piper"
    assert answer["note"] == "kokoro-v1.0.onnx is not a model that Kokoro can use. piper spoke instead."


# --- the speech service and the library --------------------------------------------------------------------------


async def test_the_speech_service_serves_each_as_a_model_and_the_best_one_by_default(tmp_path: Path) -> None:
    settings = Settings(
        base_dir=tmp_path,
        kokoro_model=kokoro_in(tmp_path),
        piper_voice=str(write_piper(tmp_path / "weights", VOICE)),
    )
    engines = Engines(local_engines(settings))
    assert engines.default.name == "kokoro"
    assert engines.models[:4] == ["kokoro", "piper", "espeak", "tone"]
    started, served = anyio.Event(), list[SpeechServer]()

    def ready(server: SpeechServer) -> None:
        served.append(server)
        started.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_service, engines, Options(port=0), ready)
        with anyio.fail_after(WAIT_S):
            await started.wait()
            async with httpx2.AsyncClient(base_url=served[0].base_url, trust_env=False) as client:
                sizes = {}
                for model in ("kokoro", "piper", "gpt-4o-mini-tts"):
                    order = {"model": model, "input": "Hello.", "voice": "alloy", "response_format": "pcm"}
                    response = await client.post("audio/speech", json=order)
                    assert response.status_code == 200
                    sizes[model] = len(response.content)
        tasks.cancel_scope.cancel()
    assert sizes["kokoro"] == sizes["gpt-4o-mini-tts"] > 0
    assert sizes["piper"] > 0


async def test_the_speech_service_serves_them_also_where_another_engine_is_set(tmp_path: Path) -> None:
    settings = Settings(base_dir=tmp_path, tts_engine="espeak", kokoro_model=kokoro_in(tmp_path))
    engines = Engines(local_engines(settings))
    assert engines.default.name == "espeak"
    assert engines.of("kokoro").name == "kokoro"
    await engines.aclose()


async def test_the_speech_service_does_not_stay_away_for_one_voice_that_cannot_be_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = write_kokoro(tmp_path / "weights")
    model.write_bytes(b"not what it was")
    settings = Settings(base_dir=tmp_path, kokoro_model=str(model))
    engines = Engines(local_engines(settings), stands_in=True)
    await engines.prepare()
    assert engines.default.name == "espeak"
    assert "espeak speaks instead of kokoro." in caplog.text
    await engines.aclose()


async def test_a_voice_that_the_speech_service_was_told_to_use_has_no_substitute(tmp_path: Path) -> None:
    engines = Engines(local_engines(Settings(base_dir=tmp_path, tts_engine="kokoro")))
    with pytest.raises(EngineMissing):
        await engines.prepare()
    await engines.aclose()


def test_the_library_speaks_with_them(tmp_path: Path) -> None:
    settings = Settings(base_dir=tmp_path, tts_engine="kokoro", kokoro_model=kokoro_in(tmp_path))
    with TTS(settings=settings) as tts:
        chunks = list(tts.generate_streaming("Hello there. And again."))
        assert np.abs(np.concatenate(chunks)).max() == pytest.approx(0.5, abs=0.01)
