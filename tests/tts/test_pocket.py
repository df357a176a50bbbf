"""Pocket TTS: its real classes at toy size, with random weights."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.extras import need
from tests.support.pocket_model import write_pocket
from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.tts._threaded import ThreadedStream
from voice_mcp.tts.pocket import PocketEngine
from voice_mcp.types import PcmFormat, SpeechRequest

need("pocket_tts")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch, while it is imported
]

RATE_HZ = 24_000
WAIT_S = 30.0
FRAME_BYTES = 3_840
PUBLISHED = "kyutai/pocket-tts-without-voice-cloning"
LONG_TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pocket(tmp_path_factory.mktemp("pocket") / "english")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says a text until it has to stop."""
    return write_pocket(tmp_path_factory.mktemp("pocket") / "english", ends=False)


@pytest.fixture
async def engine(short: Path) -> AsyncIterator[PocketEngine]:
    engine = PocketEngine(short)
    yield engine
    await engine.aclose()


@pytest.fixture
async def talker(endless: Path) -> AsyncIterator[PocketEngine]:
    engine = PocketEngine(endless)
    yield engine
    await engine.aclose()


async def read(stream: ThreadedStream) -> list[bytes]:
    async with asyncio.timeout(WAIT_S):
        return [block async for block in stream]


async def test_text_becomes_sound_in_whole_frames_of_80_ms(engine: PocketEngine) -> None:
    stream = await engine.open(SpeechRequest("Hello there."))
    blocks = await read(stream)

    assert (stream.engine, stream.model, stream.voice, stream.encoding) == ("pocket", "english", "alba", "pcm")
    assert stream.pcm_format == engine.expected_format == PcmFormat(RATE_HZ, 1)
    assert all(len(block) % FRAME_BYTES == 0 for block in blocks)
    assert any(any(block) for block in blocks)


async def test_voices_are_the_files_of_the_folder(engine: PocketEngine) -> None:
    assert [(voice.name, voice.language) for voice in await engine.voices()] == [("alba", "en"), ("jean", "en")]
    assert (engine.knows_voice("jean"), engine.knows_voice("alloy")) == (True, False)
    assert (await engine.open(SpeechRequest("Hello.", "jean"))).voice == "jean"
    with pytest.raises(UnknownVoice, match="alloy"):
        await engine.open(SpeechRequest("Hello.", "alloy"))


@pytest.mark.parametrize("speed", [0.25, 2.0, 4.0])
async def test_every_speed_is_spoken_at(engine: PocketEngine, speed: float) -> None:
    normal = b"".join(await read(await engine.open(SpeechRequest("Hello there."))))
    other = b"".join(await read(await engine.open(SpeechRequest("Hello there.", speed=speed))))

    assert len(other) == pytest.approx(len(normal) / speed, rel=0.01)


async def test_two_texts_take_turns_and_neither_loses_a_frame(talker: PocketEngine) -> None:
    alone = sum(map(len, await read(await talker.open(SpeechRequest(LONG_TEXT)))))
    first, second = await talker.open(SpeechRequest(LONG_TEXT)), await talker.open(SpeechRequest(LONG_TEXT, "jean"))
    async with asyncio.timeout(WAIT_S):
        sizes = await asyncio.gather(read(first), read(second))

    assert [sum(map(len, blocks)) for blocks in sizes] == [alone, alone]


async def test_a_text_that_nobody_wants_any_more_frees_the_model(talker: PocketEngine) -> None:
    stream = await talker.open(SpeechRequest(LONG_TEXT))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await stream.aclose()
    await stream.aclose()

    assert await read(stream) == []
    assert await read(await talker.open(SpeechRequest("Next.")))


async def test_a_model_may_come_while_the_engine_is_there(tmp_path: Path) -> None:
    engine = PocketEngine(tmp_path / "english")
    assert not engine.is_installed
    assert engine.knows_voice("alba") is None
    with pytest.raises(EngineMissing, match=r"no model\.safetensors") as caught:
        await engine.open(SpeechRequest("Hello."))
    assert "VOICEMODE_POCKET_MODEL" in caught.value.hint

    write_pocket(tmp_path / "english")
    assert engine.is_installed
    assert await read(await engine.open(SpeechRequest("Hello.")))
    await engine.aclose()


async def test_what_is_missing_comes_with_the_command_that_brings_it(tmp_path: Path) -> None:
    engine = PocketEngine(tmp_path / "languages" / "german")

    with pytest.raises(EngineMissing) as caught:
        await engine.voices()
    assert f'hf download {PUBLISHED} --include "languages/german/*" --local-dir "{tmp_path}"`' in caught.value.hint


def test_the_documents_name_the_same_command() -> None:
    document = Path(__file__).parents[2] / "docs" / "engines.md"

    assert f'hf download {PUBLISHED} --include "languages/english/*"' in document.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.yaml"])
async def test_a_file_that_is_damaged_is_an_error_of_ours(tmp_path: Path, name: str) -> None:
    folder = write_pocket(tmp_path / "english")
    (folder / name).write_bytes(b"not what it was")
    engine = PocketEngine(folder)

    with pytest.raises(EngineError, match="no model that Pocket TTS can use"):
        await engine.open(SpeechRequest("Hello."))
    await engine.aclose()


async def test_a_voice_that_is_damaged_is_an_error_of_ours(tmp_path: Path) -> None:
    folder = write_pocket(tmp_path / "english")
    (folder / "embeddings" / "alba.safetensors").write_bytes(b"not what it was")
    engine = PocketEngine(folder)

    stream = await engine.open(SpeechRequest("Hello."))
    with pytest.raises(EngineError, match="voice alba cannot be used"):
        await read(stream)
    await engine.aclose()


async def test_a_closed_engine_lets_its_model_go(engine: PocketEngine) -> None:
    assert await read(await engine.open(SpeechRequest("Hello.")))
    assert engine._loaded is not None
    model = weakref.ref(engine._loaded)
    await engine.aclose()

    await eventually_async(lambda: model() is None, WAIT_S)


def test_nothing_heavy_is_loaded_before_it_speaks() -> None:
    code = (
        "import sys; from pathlib import Path; from voice_mcp.tts.pocket import PocketEngine;"
        "PocketEngine(Path()); assert not {'numpy', 'torch', 'pocket_tts'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)
