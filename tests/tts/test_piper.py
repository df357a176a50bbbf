"""Piper's library with networks of its signature that hum."""

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
from tests.support.onnx_voices import PIPER_RATE_HZ, describe_piper, write_piper
from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.samples.convert import to_samples
from voice_mcp.tts._threaded import ThreadedStream
from voice_mcp.tts.piper import PiperEngine
from voice_mcp.types import PcmFormat, SpeechRequest

need("piper")
pytestmark = pytest.mark.anyio

WAIT_S = 20.0
NAME = "en_US-hum-low"
MANY = "en_GB-pair-low"
SENTENCES = "Hello there, my friend. This is a second sentence! And is this a third?"
LONG_TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 100


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[PiperEngine]:
    path = write_piper(tmp_path, NAME)
    write_piper(tmp_path, MANY, speakers={"anne": 0, "bob": 1})
    engine = PiperEngine(NAME, lambda: path, tmp_path)
    yield engine
    await engine.aclose()


async def read(stream: ThreadedStream) -> list[bytes]:
    async with asyncio.timeout(WAIT_S):
        return [block async for block in stream]


async def say(engine: PiperEngine, text: str, voice: str | None = None, speed: float = 1.0) -> bytes:
    return b"".join(await read(await engine.open(SpeechRequest(text, voice, speed))))


def loudness(audio: bytes) -> float:
    return float(np.abs(to_samples(audio)).max())


async def test_text_becomes_sound(engine: PiperEngine) -> None:
    stream = await engine.open(SpeechRequest("Hello there."))
    audio = b"".join(await read(stream))

    assert (stream.engine, stream.model, stream.voice, stream.encoding) == ("piper", NAME, NAME, "pcm")
    assert stream.pcm_format == engine.expected_format == PcmFormat(PIPER_RATE_HZ, 1)
    assert not engine.is_remote
    assert 0.3 < len(audio) / 2 / PIPER_RATE_HZ < 4.0


async def test_a_quiet_voice_stays_quiet(engine: PiperEngine) -> None:
    assert loudness(await say(engine, "Hello there.")) == pytest.approx(0.1, abs=0.01)


async def test_each_sentence_is_a_block_of_its_own_and_followed_by_a_pause(engine: PiperEngine) -> None:
    blocks = await read(await engine.open(SpeechRequest(SENTENCES)))

    assert len(blocks) == 6
    assert [loudness(block) > 0 for block in blocks] == [True, False] * 3


async def test_speakers_of_one_network_are_voices(engine: PiperEngine) -> None:
    names = [voice.name for voice in await engine.voices()]

    assert names == [NAME, MANY, f"{MANY}+anne", f"{MANY}+bob"]
    assert loudness(await say(engine, "Hello.", MANY)) == pytest.approx(0.1, abs=0.01)
    assert loudness(await say(engine, "Hello.", f"{MANY}+bob")) == pytest.approx(0.2, abs=0.01)


async def test_a_voice_that_is_not_there_is_unknown(engine: PiperEngine) -> None:
    assert engine.knows_voice(NAME) is True
    assert engine.knows_voice("alloy") is False
    with pytest.raises(UnknownVoice, match="alloy"):
        await engine.open(SpeechRequest("Hello.", "alloy"))


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 2.0, 4.0])
async def test_every_speed_is_spoken_at_although_the_network_rounds_its_lengths_up(
    engine: PiperEngine, speed: float
) -> None:
    text = "one two three four five six seven eight nine ten"
    normal, other = await say(engine, text), await say(engine, text, speed=speed)

    assert len(other) == pytest.approx(len(normal) / speed, rel=0.12)


async def test_brackets_in_a_text_are_no_phonemes(engine: PiperEngine) -> None:
    assert len(await say(engine, "Read a[[index]] there.")) > len(await say(engine, "Read a there.")) * 1.2


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_however_many_brackets_there_are(engine: PiperEngine, count: int) -> None:
    doubled = f"if {'[' * count} hello {']' * count} end"
    parted = f"if {'[ ' * count}hello {']' * count} end"

    assert await say(engine, doubled) == await say(engine, parted)


async def test_a_long_text_sounds_before_all_of_it_is_made(engine: PiperEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    first = await asyncio.wait_for(anext(stream), WAIT_S)

    assert 0 < len(first) / 2 / PIPER_RATE_HZ < 30.0
    await engine.check()  # queues behind whatever is being made
    assert stream.unread_s < 60.0
    await stream.aclose()
    await stream.aclose()
    assert await read(stream) == []


async def test_a_word_without_end_does_not_end_the_process(engine: PiperEngine) -> None:
    assert loudness(await say(engine, "s'" * 400)) > 0


async def test_a_voice_may_come_while_the_engine_is_there(tmp_path: Path) -> None:
    paths: list[Path] = []

    def find() -> Path:
        if not paths:
            raise EngineMissing("It is not installed.", hint="Run it.")
        return paths[0]

    engine = PiperEngine(NAME, find, tmp_path)
    assert not engine.is_installed
    assert engine.knows_voice(NAME) is None
    assert engine.expected_format.rate_hz == 22_050
    with pytest.raises(EngineMissing):
        await engine.open(SpeechRequest("Hello."))

    paths.append(write_piper(tmp_path, NAME))
    assert engine.is_installed
    assert await say(engine, "Hello.")
    await engine.aclose()


async def test_a_network_that_is_damaged_is_an_error_of_ours(tmp_path: Path) -> None:
    path = write_piper(tmp_path, NAME)
    path.write_bytes(b"not what it was")
    engine = PiperEngine(NAME, lambda: path, model_of={path: NAME}.get)
    own = PiperEngine(NAME, lambda: path)

    with pytest.raises(EngineError, match="not a voice that piper can use") as caught:
        await engine.open(SpeechRequest("Hello."))
    assert f"`voice-mcp models install {NAME}`" in caught.value.hint
    with pytest.raises(EngineError, match="not a voice that piper can use") as caught:
        await own.open(SpeechRequest("Hello."))
    assert "VOICEMODE_PIPER_VOICE" in caught.value.hint
    assert "models install" not in caught.value.hint
    await engine.aclose()
    await own.aclose()


async def test_a_description_that_is_damaged_or_missing_is_an_error_of_ours(tmp_path: Path) -> None:
    path = write_piper(tmp_path, NAME)
    described = path.with_name(f"{path.name}.json")
    engine = PiperEngine(NAME, lambda: path, model_of={path: NAME}.get)

    described.write_text('{"audio": 3}', encoding="utf-8")
    with pytest.raises(EngineError, match="not the description") as caught:
        await engine.open(SpeechRequest("Hello."))
    assert f"`voice-mcp models install {NAME}`" in caught.value.hint
    assert engine.is_installed  # so that whoever asks it to speak is told
    described.unlink()
    with pytest.raises(EngineMissing, match="is not there") as caught_missing:
        await engine.open(SpeechRequest("Hello."))
    assert f"`voice-mcp models install {NAME}`" in caught_missing.value.hint
    assert not engine.is_installed
    await engine.aclose()


async def test_a_voice_of_ones_own_without_its_description_is_told_what_it_lacks(tmp_path: Path) -> None:
    path = write_piper(tmp_path, NAME)
    path.with_name(f"{path.name}.json").unlink()
    engine = PiperEngine(NAME, lambda: path)

    with pytest.raises(EngineMissing, match="is not there") as caught:
        await engine.open(SpeechRequest("Hello."))
    assert "two files" in caught.value.hint
    await engine.aclose()


async def test_what_would_fetch_something_while_it_speaks_is_refused(tmp_path: Path) -> None:
    path = write_piper(tmp_path, NAME)
    describe_piper(path, phoneme_type="pinyin")
    engine = PiperEngine(NAME, lambda: path)

    with pytest.raises(EngineError, match="pinyin"):
        await engine.open(SpeechRequest("Hello."))
    await engine.aclose()


async def test_voices_that_are_not_spoken_with_any_more_are_let_go(tmp_path: Path) -> None:
    paths = [write_piper(tmp_path, f"en_US-hum{number}-low") for number in range(5)]
    engine = PiperEngine(paths[0].stem, lambda: paths[0], tmp_path)

    for path in paths:
        assert await say(engine, "Hello.", path.stem)
    assert await say(engine, "Hello.")
    await engine.aclose()


async def test_a_closed_engine_lets_its_model_go(engine: PiperEngine) -> None:
    assert await say(engine, "Hello.")
    model = weakref.ref(next(iter(engine._models.values())))
    await engine.aclose()

    await eventually_async(lambda: model() is None, WAIT_S)


def test_nothing_heavy_is_loaded_before_it_speaks() -> None:
    code = (
        "import sys; from voice_mcp.tts.piper import PiperEngine; PiperEngine('x', lambda: None);"
        "assert not {'numpy', 'onnxruntime', 'piper'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_S)
