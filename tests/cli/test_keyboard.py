"""Keys on a terminal, and the terminal afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from voice_mcp.cli.keyboard import Key, keys_in

if sys.platform == "win32":
    pytest.skip("terminals of POSIX systems", allow_module_level=True)

import pty
import termios

from voice_mcp.cli.keyboard import PosixKeyboard

pytestmark = pytest.mark.anyio
LONGEST_S = 30


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Where keys are pressed, and where they arrive."""
    leader, follower = pty.openpty()
    yield leader, follower
    os.close(leader)
    os.close(follower)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (" ", [Key.SPACE]),
        ("\n", [Key.ENTER]),
        ("\r", [Key.ENTER]),
        ("\x1b", [Key.ESCAPE]),
        ("\x1b\x1b", [Key.ESCAPE, Key.ESCAPE]),
        ("x \x1b", [Key.SPACE, Key.ESCAPE]),
        ("\x1b[A", []),
        ("\x1bOP", []),
        ("\x1b[1;5C \x1b[15~", [Key.SPACE]),
        ("äöü", []),
    ],
)
async def test_arrows_and_function_keys_are_no_escape(sent: str, keys: list[Key]) -> None:
    assert keys_in(sent) == keys


async def test_keys_arrive_as_they_are_pressed_and_are_not_echoed(terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    pressed: asyncio.Queue[Key] = asyncio.Queue()
    with PosixKeyboard(follower).keys(pressed.put_nowait):
        for sent, key in ((b" ", Key.SPACE), (b"\x1b", Key.ESCAPE), (b"\r", Key.ENTER)):
            os.write(leader, sent)
            async with asyncio.timeout(LONGEST_S):
                assert await pressed.get() is key
        assert not termios.tcgetattr(follower)[3] & (termios.ECHO | termios.ICANON)
    os.set_blocking(leader, False)
    with pytest.raises(BlockingIOError):
        os.read(leader, 1)


async def test_the_terminal_is_as_before_whatever_happens(terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    before = termios.tcgetattr(follower)
    with pytest.raises(ZeroDivisionError), PosixKeyboard(follower).keys(print):
        raise ZeroDivisionError
    assert termios.tcgetattr(follower) == before


async def test_a_typed_line_does_not_hold_what_was_typed_before_it_was_asked_for(terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    os.write(leader, b"too early\n")

    def answer() -> None:
        os.write(leader, "  Grün.  \n".encode())

    async with asyncio.timeout(LONGEST_S):
        assert await PosixKeyboard(follower).line(answer) == "Grün."


async def test_whoever_waits_for_a_line_can_be_called_off(terminal: tuple[int, int]) -> None:
    asked = asyncio.Event()
    asking = asyncio.ensure_future(PosixKeyboard(terminal[1]).line(asked.set))
    async with asyncio.timeout(LONGEST_S):
        await asked.wait()
    asking.cancel()
    async with asyncio.timeout(LONGEST_S):
        with pytest.raises(asyncio.CancelledError):
            await asking


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_has_keys(terminal: tuple[int, int], is_terminal: bool) -> None:
    stdin = terminal[1] if is_terminal else subprocess.DEVNULL
    look = "from voice_mcp.cli.keyboard import find_keyboard; print(find_keyboard() is not None)"
    command = [sys.executable, "-c", look]
    found = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert found.stdout == f"{is_terminal}\n"
