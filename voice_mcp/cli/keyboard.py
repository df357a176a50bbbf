"""Keys as they are pressed on a terminal, and lines as they are typed. Afterwards the terminal is as it was.

A thread reads, for that works with every kind of terminal and event loop there is; it is woken when nobody wants keys
any more. While a program in the background reads, the system stops it: keys are for the one in the foreground.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

SEQUENCE_S = 0.05
"""So long after an Esc the rest of a sequence comes that a terminal sends for an arrow or a function key."""
POLL_S = 0.02
"""How often Windows is asked for a key."""
READ_BYTES = 4096
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")


class Key(Enum):
    """The keys that mean something."""

    SPACE = " "
    ENTER = "\n"
    ESCAPE = "\x1b"


Take = Callable[[Key], None]


def keys_in(text: str) -> list[Key]:
    """The keys in what a terminal sent; arrows and function keys, which begin with an Esc as well, are none."""
    known = {key.value: key for key in Key} | {"\r": Key.ENTER}
    return [known[character] for character in _SEQUENCE.sub("", text) if character in known]


def find_keyboard() -> Keyboard | None:
    """The keyboard of this process's terminal; None where standard input is none, or belongs to somebody else now."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        return None
    if sys.platform == "win32":
        return WindowsKeyboard()
    else:
        descriptor = sys.stdin.fileno()
        try:
            is_ours = os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:  # a terminal that controls no jobs
            is_ours = True
        return PosixKeyboard(descriptor) if is_ours else None


if sys.platform == "win32":
    import msvcrt

    class WindowsKeyboard:
        """The console's."""

        @contextmanager
        def keys(self, take: Take) -> Iterator[None]:
            """See ``PosixKeyboard.keys``."""
            loop, over = asyncio.get_running_loop(), threading.Event()

            def read() -> None:
                while not over.wait(POLL_S):
                    while msvcrt.kbhit():
                        _on(loop, take, keys_in(_pressed()))

            reader = threading.Thread(target=read, name="keys", daemon=True)
            reader.start()
            try:
                yield
            finally:
                over.set()
                reader.join()

        async def line(self, ask: Callable[[], None]) -> str | None:
            """See ``PosixKeyboard.line``."""
            ask()
            loop = asyncio.get_running_loop()
            line: asyncio.Future[str] = loop.create_future()

            def set_line(text: str) -> None:
                if not line.done():
                    line.set_result(text)

            def read() -> None:
                text = sys.stdin.readline()
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(set_line, text)

            threading.Thread(target=read, name="typed-line", daemon=True).start()
            text = await line
            return text.strip() if text else None

    def _pressed() -> str:
        character = msvcrt.getwch()
        if character in "\0\xe0":  # an arrow or a function key, and its number
            msvcrt.getwch()
            return ""
        if character == "\x03":
            signal.raise_signal(signal.SIGINT)
        return character

    Keyboard = WindowsKeyboard
else:
    import select
    import termios

    class PosixKeyboard:
        """A terminal's.

        Args:
            descriptor: Of the terminal.
        """

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor
            self._before = termios.tcgetattr(descriptor)

        @contextmanager
        def keys(self, take: Take) -> Iterator[None]:
            """Within the block keys are taken as they are pressed, and are not echoed.

            The terminal is given back at the end of the block, and for as long as Ctrl+Z stops the process. Keys that
            were pressed and not taken are forgotten then: the shell is not to get them.

            Args:
                take: Called in the event loop's thread.
            """
            loop = asyncio.get_running_loop()
            with self._signals(loop):
                try:
                    self._enter()
                    with self._reading(lambda data: _on(loop, take, keys_in(data.decode("utf-8", "replace")))):
                        yield
                finally:
                    self._leave()

        async def line(self, ask: Callable[[], None]) -> str | None:
            """The next line, without the blanks around it; None when Ctrl+D ended it.

            Args:
                ask: Shows that a line is wanted; what was typed before is not in it.
            """
            loop = asyncio.get_running_loop()
            line: asyncio.Future[bytes] = loop.create_future()
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            ask()

            def set_line(data: bytes) -> None:
                if not line.done():
                    line.set_result(data)

            with self._reading(lambda data: loop.call_soon_threadsafe(set_line, data)):
                text = (await line).decode("utf-8", "replace")
            return text.strip() if text else None

        # --- the terminal --------------------------------------------------------------------------------------

        def _enter(self) -> None:
            mode = termios.tcgetattr(self._descriptor)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            # At once: a terminal that takes its time (Ctrl+S) holds nobody up.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)

        def _leave(self) -> None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcflush(self._descriptor, termios.TCIFLUSH)
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

        @contextmanager
        def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
            """Give the terminal back before Ctrl+Z stops the process, and before Ctrl+backslash ends it."""
            numbers = [each for each in (signal.SIGTSTP, signal.SIGQUIT) if signal.getsignal(each) is signal.SIG_DFL]
            for number in numbers:
                loop.add_signal_handler(number, self._yield, loop, number)
            loop.add_signal_handler(signal.SIGCONT, self._enter)
            try:
                yield
            finally:
                for number in (*numbers, signal.SIGCONT):
                    loop.remove_signal_handler(number)

        def _yield(self, loop: asyncio.AbstractEventLoop, number: signal.Signals) -> None:
            self._leave()
            loop.remove_signal_handler(number)  # so that it does what it always does
            signal.pthread_kill(threading.get_ident(), number)  # to this thread: it acts before this returns
            loop.add_signal_handler(number, self._yield, loop, number)
            self._enter()

        # --- the thread that reads -----------------------------------------------------------------------------

        @contextmanager
        def _reading(self, take: Callable[[bytes], object]) -> Iterator[None]:
            awake, wake = os.pipe()
            reader = threading.Thread(target=self._read, args=(awake, take), name="keys", daemon=True)
            reader.start()
            try:
                yield
            finally:
                os.close(wake)
                reader.join()
                os.close(awake)

        def _read(self, awake: int, take: Callable[[bytes], object]) -> None:
            keys = self._descriptor
            while awake not in select.select([keys, awake], [], [])[0]:
                try:
                    data = os.read(keys, READ_BYTES)
                    if data.endswith(b"\x1b") and select.select([keys], [], [], SEQUENCE_S)[0]:
                        data += os.read(keys, READ_BYTES)
                except OSError:  # the terminal is gone
                    data = b""
                take(data)
                if not data:
                    return

    Keyboard = PosixKeyboard


def _on(loop: asyncio.AbstractEventLoop, take: Take, keys: list[Key]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        for key in keys:
            loop.call_soon_threadsafe(take, key)
