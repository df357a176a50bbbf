"""Kokoro's library with a network of its signature that hums."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.extras import need
from tests.support.onnx_voices import write_kokoro
from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.samples.convert import to_samples
from voice_mcp.tts._threaded import LOOK_AHEAD_S, ThreadedStream
from voice_mcp.tts.kokoro import KokoroEngine
from voice_mcp.types import PcmFormat, SpeechRequest

need("kokoro_onnx")
pytestmark = pytest.mark.anyio

RATE_HZ = 24_000
WAIT_S = 20.0
SENTENCES = (
    "Hello there, my friend. This is a second sentence, which is a good deal longer than the first one was! "
    "And is this a third?"
)
LONG_TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 100


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[KokoroEngine]:
    files = write_kokoro(tmp_path)
    engine = KokoroEngine("kokoro", lambda: files)
    yield engine
    await engine.aclose()


async def read(stream: ThreadedStream) -> list[bytes]:
    async with asyncio.timeout(WAIT_S):
        return [block async for block in stream]


async def say(engine: KokoroEngine, text: str, voice: str | None = None, speed: float = 1.0) -> bytes:
    return b"".join(await read(await engine.open(SpeechRequest(text, voice, speed))))


def loudness(audio: bytes) -> float:
    return float(np.abs(to_samples(audio)).max())


async def test_text_becomes_sound(engine: KokoroEngine) -> None:
    stream = await engine.open(SpeechRequest("Hello there."))
    audio = b"".join(await read(stream))

    assert (stream.engine, stream.model, stream.voice, stream.encoding) == ("kokoro", "kokoro", "af_heart", "pcm")
    assert stream.pcm_format == engine.expected_format == PcmFormat(RATE_HZ, 1)
    assert not engine.is_remote
    assert 0.3 < len(audio) / 2 / RATE_HZ < 3.0
    assert loudness(audio) == pytest.approx(0.5, abs=0.01)


async def test_each_sentence_is_a_block_of_its_own_and_followed_by_a_pause(engine: KokoroEngine) -> None:
    blocks = await read(await engine.open(SpeechRequest(SENTENCES)))

    assert len(blocks) == 6
    assert [loudness(block) > 0 for block in blocks] == [True, False] * 3


async def test_a_block_is_short_however_long_a_text_is_to_say(engine: KokoroEngine) -> None:
    blocks = await read(await engine.open(SpeechRequest("999999 " * 45)))

    assert all(len(block) / 2 / RATE_HZ < 15.0 for block in blocks)
    assert [loudness(block) > 0 for block in blocks] == [True] * (len(blocks) - 1) + [False]


async def test_the_same_request_is_the_same_bytes(engine: KokoroEngine) -> None:
    assert await say(engine, SENTENCES) == await say(engine, SENTENCES)


async def test_everybody_speaks_in_a_voice_of_their_own(engine: KokoroEngine) -> None:
    assert loudness(await say(engine, "Good morning.", "bm_george")) == pytest.approx(0.25, abs=0.01)
    assert loudness(await say(engine, "Good morning.", "mixture")) == pytest.approx(0.1, abs=0.01)


async def test_voices_have_their_language_and_those_that_would_be_misread_are_left_out(engine: KokoroEngine) -> None:
    voices = {voice.name: (voice.language, voice.description) for voice in await engine.voices()}

    assert voices["af_heart"] == ("en-US", "female, neural")
    assert voices["bm_george"] == ("en-GB", "male, neural")
    assert "zf_xiaobei" not in voices
    assert engine.knows_voice("bm_george") is True
    assert engine.knows_voice("zf_xiaobei") is False
    with pytest.raises(UnknownVoice, match="zf_xiaobei"):
        await engine.open(SpeechRequest("Hello.", "zf_xiaobei"))


async def test_without_the_usual_voice_the_first_one_speaks(tmp_path: Path) -> None:
    files = write_kokoro(tmp_path, {"bf_emma": 0.2, "am_adam": 0.3})
    engine = KokoroEngine("kokoro", lambda: files)

    assert (await engine.open(SpeechRequest("Hello."))).voice == "am_adam"
    await engine.aclose()


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
async def test_every_speed_is_spoken_at(engine: KokoroEngine, speed: float) -> None:
    text = "one two three four five six seven eight nine ten"
    normal, other = await say(engine, text), await say(engine, text, speed=speed)

    assert len(other) == pytest.approx(len(normal) / speed, rel=0.1)


async def test_a_long_text_sounds_before_all_of_it_is_made_and_waits_for_its_reader(engine: KokoroEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    first = await asyncio.wait_for(anext(stream), WAIT_S)

    assert 0 < len(first) / 2 / RATE_HZ < 10.0
    await engine.check()  # queues behind whatever is being made
    assert stream.unread_s < LOOK_AHEAD_S + 30.0
    await stream.aclose()
    await stream.aclose()
    assert await read(stream) == []


async def test_a_word_without_end_does_not_end_the_process(engine: KokoroEngine) -> None:
    assert loudness(await say(engine, "s'" * 400)) > 0


async def test_text_without_a_word_is_no_sound(engine: KokoroEngine) -> None:
    assert await say(engine, "... -- !") == b""


async def test_weights_may_come_while_the_engine_is_there(tmp_path: Path) -> None:
    paths: list[tuple[Path, Path]] = []

    def find() -> tuple[Path, Path]:
        if not paths:
            raise EngineMissing("The model kokoro is not installed.", hint="Run it.")
        return paths[0]

    engine = KokoroEngine("kokoro", find)
    assert not engine.is_installed
    assert engine.knows_voice("af_heart") is None
    with pytest.raises(EngineMissing, match="not installed"):
        await engine.open(SpeechRequest("Hello."))

    paths.append(write_kokoro(tmp_path))
    assert engine.is_installed
    assert await say(engine, "Hello.")
    await engine.aclose()


@pytest.mark.parametrize("broken", [0, 1])
async def test_files_that_are_damaged_are_an_error_of_ours(tmp_path: Path, broken: int) -> None:
    files = write_kokoro(tmp_path)
    files[broken].write_bytes(b"not what it was")
    catalogue = {files[0]: "kokoro-int8"}
    engine = KokoroEngine("kokoro-int8", lambda: files, model_of=catalogue.get)

    with pytest.raises(EngineError, match=files[broken].name) as caught:
        await engine.open(SpeechRequest("Hello."))
    assert "`voice-mcp models install kokoro-int8`" in caught.value.hint
    assert "remove" not in caught.value.hint  # which would keep a file of voices that another model needs
    await engine.aclose()


@pytest.mark.parametrize("broken", [0, 1])
async def test_a_file_of_ones_own_that_is_damaged_is_for_oneself_to_replace(tmp_path: Path, broken: int) -> None:
    files = write_kokoro(tmp_path)
    files[broken].write_bytes(b"not what it was")
    engine = KokoroEngine("my-own", lambda: files)

    with pytest.raises(EngineError, match=files[broken].name) as caught:
        await engine.open(SpeechRequest("Hello."))
    assert "VOICEMODE_KOKORO_MODEL" in caught.value.hint
    assert "models install" not in caught.value.hint
    await engine.aclose()


async def test_voices_that_are_not_there_are_brought_by_the_model_that_is_set(tmp_path: Path) -> None:
    files = write_kokoro(tmp_path)
    files[1].unlink()
    engine = KokoroEngine("kokoro-int8", lambda: files, model_of={files[0]: "kokoro-int8"}.get)

    with pytest.raises(EngineMissing, match=files[1].name) as caught:
        await engine.open(SpeechRequest("Hello."))
    assert "`voice-mcp models install kokoro-int8`" in caught.value.hint
    await engine.aclose()


async def test_a_closed_engine_says_so(engine: KokoroEngine) -> None:
    await engine.aclose()
    await engine.aclose()

    with pytest.raises(EngineError, match="closed"):
        await engine.open(SpeechRequest("Hello."))


async def test_a_closed_engine_lets_its_model_go(engine: KokoroEngine) -> None:
    assert await say(engine, "Hello.")
    assert engine._loaded is not None
    model = weakref.ref(engine._loaded)
    await engine.aclose()

    await eventually_async(lambda: model() is None, WAIT_S)


def test_nothing_heavy_is_loaded_before_it_speaks() -> None:
    code = (
        "import sys; from voice_mcp.tts.kokoro import KokoroEngine; KokoroEngine('kokoro', lambda: None);"
        "assert not {'numpy', 'onnxruntime', 'kokoro_onnx', 'phonemizer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)
