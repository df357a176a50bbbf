"""A terminal for a command: what it draws is read back byte by byte, and keys are pressed on it (POSIX)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cli.command import LONGEST_S, environment
from tests.support.waiting import eventually

SIZE = {"COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}


def on_a_terminal(base_dir: Path, *arguments: str, **settings: str) -> str:
    """Run a command on a terminal of 80 columns; return everything it drew, with its control sequences."""
    with Terminal(base_dir, [sys.executable, "-m", "voice_mcp", *arguments], settings) as terminal:
        terminal.exit_code()
    return terminal.drawn


class Terminal:
    """A terminal that is the controlling one of a command which is under way. Use it as a context manager.

    Args:
        base_dir: The data folder.
        command: What runs on it.
        settings: More of the environment.
        output: Where standard output goes instead of the terminal.
    """

    def __init__(
        self, base_dir: Path, command: Sequence[str], settings: Mapping[str, str], output: Path | None = None
    ) -> None:
        import pty  # not on Windows, where the tests that need it are skipped
        import termios

        self._leader, self._follower = pty.openpty()
        self._before = termios.tcgetattr(self._follower)
        self._drawn = bytearray()
        self._output = output
        stdout = self._follower if output is None else os.open(output, os.O_WRONLY | os.O_CREAT)
        self.process = subprocess.Popen(
            command,
            stdin=self._follower,
            stdout=stdout,
            stderr=self._follower,
            env=environment(base_dir, **SIZE, **settings),
            cwd=base_dir.parent,
            start_new_session=True,
            preexec_fn=_take_control,
        )
        if output is not None:
            os.close(stdout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *reason: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._follower)
        self._reader.join(LONGEST_S)
        os.close(self._leader)

    @property
    def drawn(self) -> str:
        """Everything that was drawn so far, with its control sequences."""
        return self._drawn.decode("utf-8", "replace")

    @property
    def output(self) -> str:
        """What went to standard output, where that is a file."""
        assert self._output is not None
        return self._output.read_text(encoding="utf-8")

    @property
    def is_as_before(self) -> bool:
        """Whether its settings are those it had before the command came."""
        import termios

        return termios.tcgetattr(self._follower) == self._before

    @property
    def takes_keys(self) -> bool:
        """Whether keys go to the command as they are pressed, unseen."""
        import termios

        return not termios.tcgetattr(self._follower)[3] & (termios.ICANON | termios.ECHO)

    def press(self, keys: str) -> None:
        """Press keys, or type."""
        os.write(self._leader, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until a text is drawn."""
        eventually(lambda: text in self.drawn, LONGEST_S, f"{text!r} on the terminal")

    def exit_code(self) -> int:
        """Wait for the command's end."""
        return self.process.wait(LONGEST_S)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 1 << 16)
            except OSError:  # on Linux, how a terminal ends that nobody has open any more
                return
            if not data:
                return
            self._drawn += data


def _take_control() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
