"""Real processes that write at the same time, run out of disk, or die."""

from __future__ import annotations

import subprocess
import sys
from threading import Timer

TIMEOUT_S = 60.0


def run_together(code: str, arguments: list[list[str]]) -> list[str]:
    """Run ``code`` once per list of arguments, all at once; returns what each printed.

    Raises:
        AssertionError: One failed; with its traceback.
    """
    children = [start(code, each) for each in arguments]
    outputs = []
    for child in children:
        try:
            out, err = child.communicate(timeout=TIMEOUT_S)
        finally:
            child.kill()
        assert child.returncode == 0, err
        outputs.append(out)
    return outputs


def run(code: str, *arguments: str) -> str:
    """Run ``code`` in a process of its own; returns what it printed."""
    return run_together(code, [list(arguments)])[0]


def kill_after_first_line(code: str, *arguments: str) -> str:
    """Run ``code`` until it prints a line, then kill it without warning (kill -9); returns the line."""
    with start(code, list(arguments)) as child:
        watchdog = Timer(TIMEOUT_S, child.kill)
        watchdog.start()
        assert child.stdout is not None
        line = child.stdout.readline()
        watchdog.cancel()
        child.kill()
    return line


def start(code: str, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8")
