"""Speech that is made in a thread: order, turns, an end to what nobody reads, and closing at any time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError, UnknownVoice
from voice_mcp.tts._threaded import LOOK_AHEAD_S, SpeakingThread, Speech, ThreadedStream
from voice_mcp.types import PcmFormat

pytestmark = pytest.mark.anyio

WAIT_S = 10.0
FORMAT = PcmFormat(8_000, 1)
BLOCK = bytes(1_600)
"""A tenth of a second."""


class Source:
    """Blocks, counted."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self._count = count
        self._failure = failure
        self.made = 0
        self.over = threading.Event()
        self.threads: set[str] = set()

    def speech(self) -> Speech:
        return Speech("model", "voice", FORMAT, self._blocks)

    def _blocks(self) -> Iterator[bytes]:
        try:
            for _ in range(self._count):
                self.threads.add(threading.current_thread().name)
                self.made += 1
                yield BLOCK
            if self._failure is not None:
                raise self._failure
        finally:
            self.threads.add(threading.current_thread().name)
            self.over.set()


@pytest.fixture
async def thread() -> AsyncIterator[SpeakingThread]:
    thread = SpeakingThread("test")
    yield thread
    await thread.aclose()


async def read(stream: ThreadedStream) -> bytes:
    async with asyncio.timeout(WAIT_S):
        return b"".join([block async for block in stream])


def made_behind_the_loops_back(thread: SpeakingThread) -> None:
    """Until the thread has done what it was asked for; the event loop stands still, and hears of it later."""
    thread._worker.submit(lambda: None).result(WAIT_S)


async def over(source: Source) -> bool:
    return await asyncio.to_thread(source.over.wait, WAIT_S)


async def test_all_blocks_come_in_order_from_one_thread(thread: SpeakingThread) -> None:
    source = Source(5)
    stream = thread.speak(source.speech())

    assert await read(stream) == 5 * BLOCK
    assert (stream.engine, stream.model, stream.voice, stream.encoding) == ("test", "model", "voice", "pcm")
    assert stream.pcm_format == FORMAT
    assert len(source.threads) == 1
    assert source.threads != {threading.current_thread().name}


async def test_a_stream_that_nobody_reads_stops_asking(thread: SpeakingThread) -> None:
    source = Source(1_000)
    stream = thread.speak(source.speech())
    await eventually_async(lambda: stream.unread_s >= LOOK_AHEAD_S, WAIT_S)
    await thread.do(lambda: None)  # whatever had been asked for has been made by now

    assert source.made == round(LOOK_AHEAD_S / 0.1)
    assert await read(stream) == 1_000 * BLOCK


async def test_streams_take_turns(thread: SpeakingThread) -> None:
    slow, quick = Source(200), Source(2)
    first = thread.speak(slow.speech())
    await anext(first)
    second = thread.speak(quick.speech())

    assert await read(second) == 2 * BLOCK
    assert slow.made < 200


async def test_closing_ends_the_source_in_its_thread_and_may_be_done_twice(thread: SpeakingThread) -> None:
    source = Source(1_000)
    stream = thread.speak(source.speech())
    await anext(stream)
    await stream.aclose()
    await stream.aclose()

    assert await over(source)
    assert len(source.threads) == 1
    assert await read(stream) == b""
    assert stream.unread_s == 0


async def test_a_source_ends_though_its_stream_was_closed_while_a_block_was_on_its_way(thread: SpeakingThread) -> None:
    source = Source(1_000)
    stream = thread.speak(source.speech())
    await anext(stream)
    made_behind_the_loops_back(thread)
    await stream.aclose()

    assert await over(source)


async def test_a_source_ends_though_the_engine_was_closed_while_a_block_was_on_its_way(thread: SpeakingThread) -> None:
    source = Source(1_000)
    stream = thread.speak(source.speech())
    await anext(stream)
    made_behind_the_loops_back(thread)
    await thread.aclose()

    assert await over(source)
    assert len(source.threads) == 1
    assert await read(stream) == b""


async def test_a_stream_that_is_closed_before_it_began_makes_nothing(thread: SpeakingThread) -> None:
    held = threading.Event()
    waiting = asyncio.create_task(thread.do(lambda: held.wait(WAIT_S)))
    await asyncio.sleep(0)
    source = Source(5)
    stream = thread.speak(source.speech())
    await stream.aclose()
    held.set()
    await waiting
    await thread.do(lambda: None)

    assert source.made == 0


async def test_a_waiting_reader_ends_when_the_stream_is_closed(thread: SpeakingThread) -> None:
    held = threading.Event()
    waiting = asyncio.create_task(thread.do(lambda: held.wait(WAIT_S)))
    await asyncio.sleep(0)
    stream = thread.speak(Source(5).speech())
    reader = asyncio.create_task(read(stream))
    await asyncio.sleep(0)
    await stream.aclose()

    assert await reader == b""
    held.set()
    await waiting


@pytest.mark.parametrize("failure", [ValueError("shape"), EngineError("Ours.")])
async def test_what_was_made_before_a_failure_is_good(thread: SpeakingThread, failure: Exception) -> None:
    stream = thread.speak(Source(2, failure).speech())

    assert [await anext(stream), await anext(stream)] == [BLOCK, BLOCK]
    with pytest.raises(EngineError) as caught:
        await anext(stream)
    assert failure in (caught.value, caught.value.__cause__)


async def test_errors_of_ours_pass_and_others_are_translated(thread: SpeakingThread) -> None:
    def unknown() -> None:
        raise UnknownVoice("Nobody.")

    def broken() -> None:
        raise RuntimeError("library")

    with pytest.raises(UnknownVoice, match="Nobody"):
        await thread.do(unknown)
    with pytest.raises(EngineError, match="test failed"):
        await thread.do(broken)


async def test_a_closed_engine_ends_its_streams_and_begins_no_more() -> None:
    thread = SpeakingThread("test")
    source = Source(1_000)
    stream = thread.speak(source.speech())
    await anext(stream)
    await thread.aclose()
    await thread.aclose()

    assert await read(stream) == b""
    with pytest.raises(EngineError, match="closed"):
        await thread.do(lambda: None)
    with pytest.raises(EngineError, match="closed"):
        thread.speak(Source(1).speech())


async def test_what_the_library_holds_is_let_go_last_of_all_and_once() -> None:
    order: list[str] = []
    let_go = threading.Event()

    def forget() -> None:
        order.append(f"forgotten in {threading.current_thread().name}")
        let_go.set()

    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            order.append("source closed")

    thread = SpeakingThread("test", forget)
    await anext(thread.speak(Speech("model", "voice", FORMAT, blocks)))
    await thread.aclose()
    await thread.aclose()

    assert await asyncio.to_thread(let_go.wait, WAIT_S)
    assert order == ["source closed", "forgotten in test_0"]


async def test_a_block_that_nobody_waits_for_is_told_to_stop(thread: SpeakingThread) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def blocks() -> Iterator[bytes]:
        begun.set()
        assert stopped.wait(WAIT_S)
        raise RuntimeError("stopped in the middle")
        yield b""

    stream = thread.speak(Speech("model", "voice", FORMAT, blocks, stopped.set))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    await stream.aclose()

    assert await read(stream) == b""
    assert await read(thread.speak(Source(2).speech())) == 2 * BLOCK
