"""Where `speak` gets its text from: whole, or as it comes."""

from __future__ import annotations

import asyncio
import codecs
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from voice_mcp.clock import Clock
from voice_mcp.core.script import MOST_CHARS, Script
from voice_mcp.core.textblocks import BlockReader
from voice_mcp.errors import InvalidInput, NothingToSay

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_BYTES = 4096
AHEAD_CHARS = 20_000
"""Text that may wait to be spoken (20 minutes); beyond it reading pauses, so that endless input costs no memory."""
LOOK_AGAIN_S = 0.2
NOTHING_HINT = "Give a text with a word in it."
TEXT_HINT = "Give a text file in UTF-8; `iconv` and most editors make one of text in another encoding."


class TextSource(Protocol):
    """Something to be said."""

    @property
    def typed(self) -> bool:
        """Whether somebody types it on the terminal while it is spoken."""
        ...

    async def open(self, clock: Clock) -> tuple[Script, float]:
        """The script, and since when (``Clock.now``) there has been something to say.

        Raises:
            InvalidInput: There is nothing, or it cannot be read.
        """
        ...


class WholeText:
    """A text, or a file of it."""

    typed = False

    def __init__(self, text: str | Path) -> None:
        self._text = text

    async def open(self, clock: Clock) -> tuple[Script, float]:
        since_s = clock.now()
        return Script.of(self._text if isinstance(self._text, str) else _content(self._text)), since_s


def file_text(path: Path) -> TextSource:
    """What is in a file: whole, or as it comes where it is a pipe or longer than a message may be.

    An agent that sends a book sent it by mistake; somebody who types a file's name means it.
    """
    is_short = path.is_file() and path.stat().st_size <= MOST_CHARS
    return WholeText(path) if is_short else LiveText(path)


class LiveText:
    """Standard input, a pipe or a long file, read while what came in before is being spoken.

    A daemon thread reads: nothing can wake a thread that waits for input, and none may keep the process from ending.

    Args:
        file: A descriptor or a path; read as UTF-8.
        typed: Whether it is a terminal: there, what was entered is complete.
    """

    def __init__(self, file: int | Path, *, typed: bool = False) -> None:
        self.typed = typed
        self._file = file
        self._script = Script()
        self._reader = BlockReader()
        # What is piped in may hold a stray byte; a file that does is another kind of file.
        errors = "strict" if isinstance(file, Path) else "replace"
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors=errors)
        self._begun = asyncio.Event()
        self._is_empty = True
        self._failure: Exception | None = None
        self._never = threading.Event()

    async def open(self, clock: Clock) -> tuple[Script, float]:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="text-input", daemon=True).start()
        await self._begun.wait()
        if self._failure is not None:
            raise self._failure
        if self._is_empty:
            raise NothingToSay("There is nothing to say: the input holds no words.", hint=NOTHING_HINT)
        return self._script, clock.now()

    def _take(self, data: bytes) -> None:
        try:
            self._take_bytes(data)
        except InvalidInput as exc:
            self._give_up(exc)
            logger.warning("%s", exc.message)
        except Exception as exc:
            self._give_up(exc)
            logger.exception("The input could not be taken any further.")

    def _give_up(self, failure: Exception) -> None:
        """What is being spoken already ends where the text does."""
        self._failure = failure
        self._script.close()
        self._begun.set()

    def _take_bytes(self, data: bytes) -> None:
        """Take the next bytes; none are the end."""
        with _as_text(self._file):
            blocks = self._reader.push(_without_nul(self._decoder.decode(data, final=not data)))
        if not data or self.typed:
            blocks += self._reader.flush()
        for block in blocks:
            self._script.append(block)
        self._is_empty = self._is_empty and not any(map(str.strip, blocks))
        if not data:
            self._script.close()
        if not data or not self._is_empty:
            self._begun.set()

    def _has_room(self) -> bool:
        return self._script.remaining_chars <= AHEAD_CHARS

    # --- the reading thread ------------------------------------------------------------------------------------

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for data in self._pieces():
                self._hand_over(loop, data)
                if self._failure is not None:
                    return
            self._hand_over(loop, b"")
        except RuntimeError:
            if not loop.is_closed():
                raise
            return  # the speech has ended, and its event loop with it

    def _pieces(self) -> Iterator[bytes]:
        try:
            # Unbuffered: a buffered reader's lock, held while waiting, would break the end of the interpreter.
            with open(self._file, "rb", buffering=0, closefd=isinstance(self._file, Path)) as file:
                while data := file.read(READ_BYTES):
                    yield data
        except OSError as exc:
            logger.warning("The input could not be read any further: %s.", exc.strerror)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, data: bytes) -> None:
        _on(loop, partial(self._take, data))
        while not _on(loop, self._has_room):
            self._never.wait(LOOK_AGAIN_S)


def _on(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> T:
    """Call ``function`` on the loop's thread, and wait for what it returns or raises.

    Raises:
        RuntimeError: The loop is closed.
    """
    answer: Future[T] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that waits
            answer.set_exception(exc)

    loop.call_soon_threadsafe(call)
    return answer.result()


def _content(path: Path) -> str:
    try:
        with _as_text(path):
            return _without_nul(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise InvalidInput(f"{path} cannot be read: {exc.strerror}.", hint="Check its permissions.") from exc


@contextmanager
def _as_text(source: int | Path) -> Iterator[None]:
    """Say of bytes that are no text what they are not.

    Raises:
        InvalidInput: They are none.
    """
    try:
        yield
    except UnicodeError as exc:
        name = source if isinstance(source, Path) else "Standard input"
        raise InvalidInput(f"{name} is not text.", hint=TEXT_HINT) from exc


def _without_nul(text: str) -> str:
    """``text``, which is one only without NUL: programs, pictures and UTF-16 are full of them."""
    if "\0" in text:
        raise UnicodeError("NUL")
    return text
