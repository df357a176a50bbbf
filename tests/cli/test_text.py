"""Where `speak` gets its text from."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.waiting import eventually_async
from voice_mcp.cli.text import AHEAD_CHARS, READ_BYTES, LiveText, _on, file_text
from voice_mcp.clock import SystemClock
from voice_mcp.core.script import MOST_CHARS
from voice_mcp.errors import InvalidInput

pytestmark = pytest.mark.anyio


async def test_a_file_longer_than_any_message_is_read_as_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    paragraph = "It was a dark and stormy night.\n\n"
    file.write_text(paragraph * (MOST_CHARS // len(paragraph) + 1), encoding="utf-8")
    script, _ = await file_text(file).open(SystemClock())
    line = await script.next_line()
    assert line is not None
    assert line.text == "It was a dark and stormy night."
    assert script.remaining_chars <= AHEAD_CHARS + 2 * READ_BYTES


async def test_endless_input_is_read_only_as_far_as_it_is_needed() -> None:
    reading, writing = os.pipe()
    sentence = b"This goes on and on. "
    size_bytes = 120_000

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            for _ in range(0, size_bytes, len(sentence)):
                pipe.write(sentence)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    script, _ = await LiveText(reading).open(SystemClock())
    await eventually_async(lambda: script.remaining_chars > AHEAD_CHARS, 10, "enough text")
    spoken_chars = 0
    while (line := await script.next_line()) is not None:
        spoken_chars += len(line.text)
        assert script.remaining_chars <= AHEAD_CHARS + 2 * READ_BYTES
    assert spoken_chars >= size_bytes * 0.9
    writer.join(10)
    os.close(reading)


async def test_typed_lines_are_complete_when_they_are_entered() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"and then\n")
    source = LiveText(reading, typed=True)
    script, _ = await source.open(SystemClock())
    line = await script.next_line()
    assert line is not None
    assert line.text == "and then"
    os.close(writing)
    assert await script.next_line() is None
    os.close(reading)


class UntakeableText(LiveText):
    """Input that cannot be taken, whatever it says."""

    def _take_bytes(self, data: bytes) -> None:
        raise ZeroDivisionError(f"{len(data)} bytes too many")


async def test_text_that_cannot_be_taken_is_an_error_and_not_a_wait_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Hello.", encoding="utf-8")
    async with asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError):
            await UntakeableText(file).open(SystemClock())


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\0\0", "Gr\u00fc\u00dfe.".encode("latin-1"), "Hello.".encode("utf-16")]
)
@pytest.mark.parametrize("times", [1, MOST_CHARS])
async def test_a_file_that_is_not_text_is_refused(tmp_path: Path, content: bytes, times: int) -> None:
    file = tmp_path / "program"
    file.write_bytes(content * times)
    async with asyncio.timeout(10):
        with pytest.raises(InvalidInput, match="program is not text") as refused:
            await file_text(file).open(SystemClock())
    assert "UTF-8" in refused.value.hint


async def test_a_program_on_standard_input_is_refused_and_a_stray_byte_is_not() -> None:
    for data, is_text in ((b"\x7fELF\x02\x01\0\0", False), (b"Hello \xff there.\n\n", True)):
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        with nullcontext() if is_text else pytest.raises(InvalidInput, match="Standard input is not text"):
            await LiveText(reading).open(SystemClock())
        os.close(reading)


async def test_what_fails_on_the_loop_fails_in_the_thread_that_asked_for_it() -> None:
    loop = asyncio.get_running_loop()

    def fail() -> None:
        raise ZeroDivisionError

    failed = asyncio.Event()

    def ask() -> None:
        with pytest.raises(ZeroDivisionError):
            _on(loop, fail)
        loop.call_soon_threadsafe(failed.set)

    threading.Thread(target=ask, daemon=True).start()
    async with asyncio.timeout(10):
        await failed.wait()
