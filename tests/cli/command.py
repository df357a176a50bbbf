"""The real command, run as a person's shell runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST_S = 60.0
"""Bound of every command; generous, for machines that are busy."""
LONG = "This sentence is one of many and takes its time. " * 40


def environment(base_dir: Path, **settings: str) -> dict[str, str]:
    """What a command gets: tones into a device that keeps no time, and no microphone, unless told otherwise."""
    return {
        **os.environ,
        "VOICEMODE_BASE_DIR": str(base_dir),
        "VOICEMODE_TTS_ENGINE": "tone",
        "VOICEMODE_AUDIO_OUTPUT": "file",
        "VOICEMODE_AUDIO_INPUT": "null",  # nobody's microphone is opened by a test
        "PYTHONIOENCODING": "utf-8",
        **settings,
    }


def voice_mcp(
    base_dir: Path, *arguments: str, typed: str | bytes = b"", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a folder without settings."""
    return _run(["-m", "voice_mcp", *arguments], base_dir, typed, settings)


def voice_mcp_without(
    library: str, base_dir: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """The same where a library is not installed."""
    return voice_mcp_after(f"import sys; sys.modules[{library!r}] = None", base_dir, *arguments, **settings)


def voice_mcp_after(code: str, base_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter that has run ``code`` before."""
    return _run(["-c", f"{code}; from voice_mcp.__main__ import main; main()", *arguments], base_dir, "", settings)


def _run(
    arguments: Sequence[str], base_dir: Path, typed: str | bytes, settings: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    folder = base_dir.parent / "somewhere"
    folder.mkdir(exist_ok=True)
    data = typed.encode() if isinstance(typed, str) else typed
    done = subprocess.run(
        [sys.executable, *arguments],
        input=data,
        capture_output=True,
        env=environment(base_dir, **settings),
        cwd=folder,
        timeout=LONGEST_S,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


class Running:
    """A command that is under way. Use it as a context manager; its output goes into files, so that nothing blocks."""

    def __init__(self, base_dir: Path, *arguments: str, **settings: str) -> None:
        folder = base_dir.parent / "running"
        folder.mkdir(exist_ok=True)
        self._outputs = folder / "stdout", folder / "stderr"
        with self._outputs[0].open("wb") as out, self._outputs[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "voice_mcp", *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=environment(base_dir, **settings),
                cwd=folder,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *reason: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    @property
    def output(self) -> str:
        """What it has said on standard output so far."""
        return self._outputs[0].read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        """What it has said on standard error so far."""
        return self._outputs[1].read_text(encoding="utf-8")

    def give(self, data: str | bytes) -> None:
        """Put something on its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data.encode() if isinstance(data, str) else data)
        self.process.stdin.flush()

    def close_input(self) -> None:
        """End its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def children(self) -> list[int]:
        """The processes it has started (Linux)."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in listed.read_text().split()]

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(LONGEST_S)
