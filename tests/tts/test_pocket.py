"""Pocket TTS: its real classes at toy size, with random weights."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.extras import need
from tests.support.pocket_model import write_pocket
from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.tts._pocket_library import Run
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


class Library:
    """Draws frames as pocket-tts does: ten of them, unless something happens before one.

    Args:
        before: Called with the number of each.
    """

    def __init__(self, before: Callable[[int], object]) -> None:
        self.drawn = 0
        self._before = before

    def generate_audio_stream(self, state: object, text: str, stop: threading.Event) -> Iterator[Any]:
        for number in range(10):
            self._before(number)
            if stop.is_set():
                return
            self.drawn += 1
            yield need("torch").full((4,), number / 10)


def test_a_text_that_fails_while_another_waits_for_it_is_heard_so_far_and_fails_itself() -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise RuntimeError("no more")

    run = Run(Library(fail), "Hello.", None, threading.Event())
    run.next()
    run.finish()

    assert [None if sound is None else float(sound[0]) for sound in (run.next(), run.next())] == pytest.approx(
        [0.1, 0.2]
    )
    with pytest.raises(RuntimeError, match="no more"):
        run.next()


def test_a_text_that_nobody_wants_any_more_holds_nobody_up() -> None:
    stop = threading.Event()

    def lose_interest(number: int) -> None:
        if number == 3:
            stop.set()

    library = Library(lose_interest)
    run = Run(library, "Hello.", None, stop)
    run.next()
    run.finish()

    assert library.drawn == 3
    assert run.next() is None


async def test_a_model_may_come_while_the_engine_is_there(tmp_path: Path) -> None:
    engine = PocketEngine(tmp_path / "english")
    assert not engine.is_installed
    assert engine.knows_voice("alba") is None
    with pytest.raises(EngineMissing, match=r"no model\.safetensors"):
        await engine.open(SpeechRequest("Hello."))

    write_pocket(tmp_path / "english")
    assert engine.is_installed
    assert await read(await engine.open(SpeechRequest("Hello.")))
    await engine.aclose()


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


async def test_what_is_not_there_is_told_with_the_command_that_brings_it(tmp_path: Path) -> None:
    engine = PocketEngine(tmp_path / "languages" / "german")

    with pytest.raises(EngineMissing) as missing:
        await engine.check()
    assert f'--include "languages/german/*" --local-dir {tmp_path}`' in str(missing.value.hint)
    await engine.aclose()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../elsewhere.safetensors"])
async def test_a_description_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_pocket(tmp_path / "english")
    described = folder / "config.yaml"
    described.write_text(
        re.sub("weights_path: .*", f"weights_path: {name}", described.read_text("utf-8")), encoding="utf-8"
    )
    engine = PocketEngine(folder)

    with pytest.raises(EngineError, match="names a file that is not there"):
        await engine.check()
    await engine.aclose()


def test_nothing_heavy_is_loaded_before_it_speaks() -> None:
    code = (
        "import sys; from pathlib import Path; from voice_mcp.tts.pocket import PocketEngine;"
        "PocketEngine(Path()); assert not {'numpy', 'torch', 'pocket_tts'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)
