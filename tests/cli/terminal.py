"""A terminal for a command: what it draws is read back byte by byte (POSIX)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.cli.command import LONGEST_S, environment


def on_a_terminal(base_dir: Path, *arguments: str, **settings: str) -> str:
    """Run a command on a terminal of 80 columns; return everything it drew, with its control sequences."""
    import pty  # not on Windows, where the tests that need it are skipped

    leader, follower = pty.openpty()
    size = {"COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "voice_mcp", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment(base_dir, **size, **settings),
        cwd=base_dir.parent,
    )
    os.close(follower)
    drawn = bytearray()
    reader = threading.Thread(target=_read, args=(leader, drawn), daemon=True)
    reader.start()
    try:
        process.wait(LONGEST_S)
    finally:
        process.kill()
        reader.join(LONGEST_S)
        os.close(leader)
    return drawn.decode("utf-8")


def _read(leader: int, drawn: bytearray) -> None:
    while True:
        try:
            data = os.read(leader, 1 << 16)
        except OSError:  # on Linux, how a terminal ends that nobody has open any more
            return
        if not data:
            return
        drawn += data
