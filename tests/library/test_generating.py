"""``TTS.generate_streaming`` and ``generate``: what is given, in which pieces, and what stops it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.waiting import eventually, eventually_async
from voice_mcp import TTS
from voice_mcp.core.segmentation import segment
from voice_mcp.errors import (
    EngineError,
    InvalidInput,
    InvalidSpeed,
    NothingToSay,
    UnknownVoice,
    VoiceError,
)
from voice_mcp.library.chunks import FRAME_SAMPLES
from voice_mcp.library.rendition import AHEAD_S, Progress
from voice_mcp.settings import Settings
from voice_mcp.tts.tone import ToneEngine, ToneStream
from voice_mcp.types import PcmFormat, SpeechRequest

WAIT_S = 20.0
TEXT = "Every word has a tone of its own. This is the second sentence, which is longer. And here the third one ends."


@pytest.fixture
def tts() -> Iterator[TTS]:
    with TTS(ToneEngine()) as tts:
        yield tts


async def tones(text: str, voice: str = "sine") -> bytes:
    """What the engine says for each line of ``text``."""
    frames = bytearray()
    for part in segment(text):
        async for block in await ToneEngine().open(SpeechRequest(part.text, voice)):
            frames += block
    return bytes(frames)


def as_frames(samples: np.ndarray) -> bytes:
    return bytes(np.rint(samples * 32768).astype("<i2"))


def test_the_chunks_put_together_are_the_engine_s_own_samples(tts: TTS) -> None:
    chunks = list(tts.generate_streaming(TEXT))
    assert {chunk.dtype for chunk in chunks} == {np.dtype(np.float32)}
    assert {chunk.ndim for chunk in chunks} == {1}
    assert as_frames(np.concatenate(chunks)) == asyncio.run(tones(TEXT))


def test_streaming_and_whole_are_the_same_samples(tts: TTS) -> None:
    streamed = np.concatenate(list(tts.generate_streaming(TEXT, chunk_size=3)))
    assert np.array_equal(streamed, tts.generate(TEXT))


def test_the_first_chunk_is_one_frame_and_all_but_the_last_are_whole_frames(tts: TTS) -> None:
    sizes = [len(chunk) for chunk in tts.generate_streaming(TEXT, chunk_size=8)]
    assert sizes[0] == FRAME_SAMPLES
    assert all(size % FRAME_SAMPLES == 0 for size in sizes[:-1])
    assert max(sizes) <= 8 * FRAME_SAMPLES


@pytest.mark.anyio
async def test_async_for_gives_the_same(tts: TTS) -> None:
    chunks = [chunk async for chunk in tts.generate_streaming(TEXT)]
    assert as_frames(np.concatenate(chunks)) == await tones(TEXT)


@pytest.mark.anyio
async def test_a_loop_that_is_busy_may_be_the_caller_s(tts: TTS) -> None:
    assert as_frames(tts.generate("Said inside a running loop.")) == await tones("Said inside a running loop.")


def test_a_dialogue_goes_turn_by_turn_each_in_its_voice(tts: TTS) -> None:
    samples = tts.generate([(0, "Who is there?"), (1, "It is me."), (0, "Come in.")])
    expected = [asyncio.run(tones(text, voice)) for text, voice in
                (("Who is there?", "sine"), ("It is me.", "square"), ("Come in.", "sine"))]  # fmt: skip
    assert as_frames(samples) == b"".join(expected)


def test_two_texts_at_once_do_not_disturb_each_other(tts: TTS) -> None:
    one, other = tts.generate_streaming(TEXT), tts.generate_streaming("Something else.")
    chunks = [next(one), next(other)]
    assert as_frames(np.concatenate([chunks[0], *one])) == asyncio.run(tones(TEXT))
    assert as_frames(np.concatenate([chunks[1], *other])) == asyncio.run(tones("Something else."))


def test_it_says_who_speaks(tts: TTS) -> None:
    with tts.generate_streaming(TEXT, speaker="square") as generation:
        before = generation.engine
        next(generation)
        assert (before, generation.engine, generation.voice) == (None, "tone", "square")


def test_the_next_sentence_is_made_while_the_one_before_it_is_taken(tts: TTS) -> None:
    told: list[Progress] = []
    generation = tts.generate_streaming(TEXT, chunk_size=1, progress=told.append)
    next(generation)

    def is_ahead() -> bool:
        next(generation, None)
        return told[-1].text != segment(TEXT)[0].text

    eventually(is_ahead, WAIT_S, "the second sentence")
    taken_s = len(told) * 0.08
    assert taken_s < told[-1].made_s
    generation.close()


def test_progress_reaches_the_whole(tts: TTS) -> None:
    told: list[Progress] = []
    samples = tts.generate(TEXT, progress=told.append)
    assert told[-1].share == 1.0
    assert told[-1].made_s == pytest.approx(len(samples) / 24_000)
    assert [each.share for each in told] == sorted(each.share for each in told)


class Watched:
    """An engine that tells what became of its stream, and how much was read of it."""

    def __init__(self) -> None:
        self._tone = ToneEngine()
        self.read_frames = 0
        self.begun = threading.Event()
        self.ended: str | None = None
        """How the stream ended: by itself, or because somebody closed it first."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._tone, name)

    async def open(self, request: SpeechRequest) -> WatchedStream:
        return WatchedStream(await self._tone.open(request), self)


class WatchedStream:
    def __init__(self, stream: ToneStream, engine: Watched) -> None:
        self._stream = stream
        self._engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            self._engine.read_frames += len(block) // 2
            self._engine.begun.set()
            yield block
        self._engine.ended = self._engine.ended or "by itself"

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._engine.ended = self._engine.ended or "closed"


LONG = "A text that goes on and on, sentence after sentence, for minutes. " * 40
ENDLESS = "a text without a full stop that takes longer to say than the library will ever run ahead " * 4
"""One line: about 20 s of tones."""


@pytest.mark.parametrize("leave", ["break", "close", "with", "thrown away"])
def test_leaving_early_stops_the_engine(leave: str) -> None:
    engine = Watched()
    with TTS(engine) as tts:  # type: ignore[arg-type]
        generation = tts.generate_streaming(ENDLESS)
        if leave == "with":
            with generation:
                next(generation)
        elif leave == "break":
            for _ in tts.generate_streaming(ENDLESS):
                break
        else:
            next(generation)
        if leave == "close":
            generation.close()
        elif leave == "thrown away":
            del generation
        eventually(lambda: engine.ended is not None, WAIT_S, "the end of the stream")
        assert engine.ended == "closed"
        assert engine.read_frames < PcmFormat(24_000, 1).frames_in(AHEAD_S + 1.0)


@pytest.mark.anyio
async def test_a_cancellation_stops_the_engine() -> None:
    engine = Watched()
    complaints = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with TTS(engine) as tts:  # type: ignore[arg-type]

        async def take() -> None:
            async for _ in tts.generate_streaming(ENDLESS):
                await asyncio.Event().wait()

        task = asyncio.create_task(take())
        async with asyncio.timeout(WAIT_S):
            await asyncio.to_thread(engine.begun.wait, WAIT_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually_async(lambda: engine.ended is not None, WAIT_S, "the end of the stream")
        assert engine.ended == "closed"
    del task
    gc.collect()
    assert complaints == []


def test_an_engine_far_ahead_waits_for_whoever_takes() -> None:
    engine = Watched()
    most_frames = PcmFormat(24_000, 1).frames_in(AHEAD_S + 1.0)
    with TTS(engine) as tts:  # type: ignore[arg-type]
        generation = tts.generate_streaming(ENDLESS, chunk_size=1)
        next(generation)
        least_frames = PcmFormat(24_000, 1).frames_in(AHEAD_S - 1.0)
        eventually(lambda: engine.read_frames >= least_frames, WAIT_S, "the engine to get ahead")
        for _ in range(10):  # each is a turn of the loop in which it could go on
            tts.load_model()
        assert engine.read_frames <= most_frames
        generation.close()


def test_chunks_may_be_longer_than_an_engine_runs_ahead(tts: TTS) -> None:
    sizes = [len(chunk) for chunk in tts.generate_streaming(ENDLESS, chunk_size=1000)]
    assert sum(sizes) > PcmFormat(24_000, 1).frames_in(AHEAD_S + 5.0)
    assert sum(sizes) == len(tts.generate(ENDLESS))


def test_a_generation_of_something_closed_says_so() -> None:
    tts = TTS(ToneEngine())
    generation = tts.generate_streaming(ENDLESS)
    next(generation)
    tts.close()
    with pytest.raises(VoiceError, match="closed while it was in use"):
        list(generation)
    assert list(generation) == []


@pytest.mark.anyio
async def test_whoever_waits_when_it_is_closed_is_told_and_not_cancelled() -> None:
    engine = Watched()
    tts = TTS(engine)  # type: ignore[arg-type]

    async def take() -> None:
        async for _ in tts.generate_streaming(ENDLESS, chunk_size=1):
            await asyncio.sleep(0)

    async def close() -> None:
        await asyncio.to_thread(engine.begun.wait, WAIT_S)
        await tts.aclose()

    async with asyncio.timeout(WAIT_S):
        taken, closing = await asyncio.gather(take(), close(), return_exceptions=True)
    assert closing is None
    assert taken is None or isinstance(taken, VoiceError)  # it may have had all of it


def test_what_is_thrown_away_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in range(3):
        tts = TTS(ToneEngine())
        assert len(tts.generate("Hi."))
        del tts
    gc.collect()
    eventually(lambda: threading.active_count() <= before, WAIT_S, "the threads to end")


def test_a_progress_function_that_fails_ends_it() -> None:
    def fail(progress: Progress) -> None:
        raise LookupError("no bar")

    engine = Watched()
    with TTS(engine) as tts:  # type: ignore[arg-type]
        generation = tts.generate_streaming(ENDLESS, progress=fail)
        with pytest.raises(LookupError):
            next(generation)
        assert list(generation) == []
        assert engine.ended == "closed"


def test_a_progress_function_that_calls_the_library_is_told_instead_of_waiting_for_itself(tmp_path: Path) -> None:
    with TTS(ToneEngine()) as tts, pytest.raises(InvalidInput, match="progress function"):
        tts.say(TEXT, tmp_path / "hello.wav", progress=lambda _: tts.close())


def test_a_program_that_ends_in_the_middle_ends_without_a_word(tmp_path: Path) -> None:
    script = (
        "from voice_mcp import TTS\n"
        "generation = TTS(engine='espeak').generate_streaming('Hello there. ' * 200)\n"
        "next(generation)\n"
    )
    env = {"HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Failing(Watched):
    """An engine that breaks off in its second line, and whenever it is asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def open(self, request: SpeechRequest) -> WatchedStream:
        self.lines.append(request.text)
        if len(self.lines) > 1:
            raise EngineError("The voice is gone.", hint="Say nothing.")
        return await super().open(request)


def test_what_was_made_before_a_failure_is_given_before_the_error() -> None:
    with TTS(Failing()) as tts:  # type: ignore[arg-type]
        generation = tts.generate_streaming(TEXT)
        chunks = list[np.ndarray]()
        with pytest.raises(EngineError):
            for chunk in generation:
                chunks.append(chunk)
    assert as_frames(np.concatenate(chunks)) == asyncio.run(tones(segment(TEXT)[0].text))
    assert list(generation) == []


def test_arguments_that_cannot_be_used_are_told_at_once(tts: TTS) -> None:
    unusable: tuple[dict[str, Any], ...] = (
        *({"chunk_size": size} for size in (0, -1, 2.5, "20")),
        *({"temperature": temperature} for temperature in (-1.0, "hot")),
        *({"topk": top_k} for top_k in (0, 1.5)),
        *({"seed": seed} for seed in ("x", 2**64, -(2**70))),
        {"speaker": 1.5},
    )
    for wrong in unusable:
        with pytest.raises(InvalidInput):
            tts.generate_streaming(TEXT, **wrong)
    for text in (None, 5, b"Hello.", [("only a name",)], [0, "Hello."]):
        with pytest.raises(InvalidInput, match=r"neither a text|no turn"):
            tts.generate_streaming(text)  # type: ignore[arg-type]
    for loudness_lufs in (-200.0, 0.0, 5.0):
        with pytest.raises(InvalidInput, match="LUFS"):
            TTS(ToneEngine(), loudness_lufs=loudness_lufs)
    with pytest.raises(NothingToSay):
        tts.generate_streaming("...")
    with pytest.raises(InvalidSpeed):
        TTS(ToneEngine(), speed=9)
    with pytest.raises(InvalidInput, match="no engine 'nobody'") as named:
        TTS("nobody")
    assert "espeak" in str(named.value.hint)
    refused: tuple[dict[str, Any], ...] = (
        {"device": "tpu"},
        {"engine": 3},
        {"speed": "fast"},
        {"loudness_lufs": "loud"},
        {"watermark_key": 3},
        {"voices": 3},
        {"voices": [3]},
        {"settings": "none"},
    )
    for arguments in refused:
        with pytest.raises(InvalidInput):
            TTS(**arguments)
    with pytest.raises(InvalidInput, match="which engine"):
        TTS("espeak", settings=Settings())


def test_a_voice_that_is_not_there_is_an_error(tts: TTS) -> None:
    with pytest.raises(UnknownVoice):
        tts.generate(TEXT, speaker="nobody")


def test_espeak_speaks_on_a_bare_machine_at_24_khz(tmp_path: Path) -> None:
    script = (
        "from voice_mcp import TTS\n"
        "with TTS(engine='espeak') as tts:\n"
        "    tts.load_model()\n"
        "    sizes = [len(c) for c in tts.generate_streaming('Hello, world! How are you today?')]\n"
        "print(sizes[0], 24_000 < sum(sizes) < 120_000)\n"
    )
    env = {"HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("1920 True\n", "")


def test_the_server_starts_without_the_library() -> None:
    script = (
        "import sys, voice_mcp.app, voice_mcp.server\n"
        "print([m for m in sys.modules if m.startswith('voice_mcp.library') or m == 'numpy'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
