"""A server that is short of memory, of disk, or of somebody else's patience: it goes on or ends, and spoils nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from tests.server.hearing_server import WORDS, Hearing, nothing_is_held
from tests.server.hearing_server import hearing as hearing
from tests.stress.load import expected, recorded, recordings
from tests.support.behaviour import Behaviour
from tests.support.house import exchanges
from tests.support.processes import children
from tests.support.stdio import StdioServer, gone
from tests.support.waiting import eventually_async
from voice_mcp.storage.locking import locked

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux"),
]

MESSAGE = "This sentence is one of very many and takes its time. " * 100
LATER_MB = 4
"""So much more memory a server gets when it has begun to speak."""
LIMITED = f"""
import resource, runpy, signal, sys

def stop_growing(*_):
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + {LATER_MB} * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print("limited", file=sys.stderr, flush=True)

signal.signal(signal.SIGUSR1, stop_growing)
runpy.run_module("voice_mcp", run_name="__main__", alter_sys=True)
"""
SMALL_DISK = """
import os, runpy, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "none", os.environ["VOICEMODE_BASE_DIR"]], check=True)
runpy.run_module("voice_mcp", run_name="__main__", alter_sys=True)
"""
FILLER = "filler"


async def test_a_server_without_memory_answers_or_ends_and_leaves_whole_files_and_no_process(tmp_path: Path) -> None:
    env = {"VOICEMODE_SAVE_AUDIO": "true", "VOICEMODE_OUTPUT_DEVICE": "100x", "VOICEMODE_STREAM_MAX_BUFFER": "60"}
    async with StdioServer(tmp_path, env, ("-c", LIMITED)) as server:
        await server.initialize()
        call = server.begin_speaking(MESSAGE)
        await server.speaking()
        server.process.send_signal(signal.SIGUSR1)
        await eventually_async(lambda: "limited" in server.errors, 20.0, "the limit")
        # More than there is room for, all at once: texts, tasks, the frames of a message without end.
        for _ in range(12):
            server.begin_speaking(MESSAGE * 6)
        ended: dict[str, Any] | None = None
        try:
            ended = await server.answer(call)
            started = children(server.process.pid)
            server.close_input()
        except (EOFError, ConnectionError):
            started = {}
        await server.exit_code()
        for pid in started.values():
            await gone(pid)
    if ended is not None and "result" in ended and ended["result"]["isError"]:
        assert ended["result"]["structuredContent"]["error"] in {"out_of_memory", "speech_cut_off"}
    for line in exchanges(tmp_path):
        assert line["metadata"]["status"] in {"completed", "interrupted", "failed"}
    for path in recordings(tmp_path):
        with wave.open(str(path), "rb") as file:
            assert file.getnframes() > 0
    async with StdioServer(tmp_path) as another:
        await another.initialize()
        result = (await another.answer(another.begin_speaking("I am next.")))["result"]["structuredContent"]
        assert result["status"] == "completed"


def mounts_are_allowed() -> bool:
    """Whether this user may give a process a disk of its own."""
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


class SmallDisk(StdioServer):
    """A server whose data root is a disk of 640 kB, which nobody else sees."""

    @property
    def disk(self) -> Path:
        """The disk, from here."""
        root = Path(f"/proc/{self.process.pid}/root")
        return root / self._env["VOICEMODE_BASE_DIR"].lstrip("/")

    def fill(self) -> None:
        """Let nothing be left of it."""
        with (self.disk / FILLER).open("wb", buffering=0) as file:
            size = 1 << 16
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def clear(self) -> None:
        """Let there be room again."""
        (self.disk / FILLER).unlink()


def on_a_small_disk(hearing: Hearing) -> SmallDisk:
    """A server that listens on a small disk."""
    hearing.root.mkdir()
    env = {
        "VOICEMODE_AUDIO_INPUT": "file",
        "VOICEMODE_INPUT_DEVICE": str(hearing.file),
        "VOICEMODE_STT_BASE_URLS": hearing.endpoint.base_url,
        "VOICEMODE_SILENCE_THRESHOLD_MS": "800",
        "VOICEMODE_SAVE_AUDIO": "true",
    }
    return SmallDisk(hearing.root, env, ("-c", SMALL_DISK), under=("unshare", "--mount"))


@pytest.fixture
def mounts() -> None:
    """A disk of its own for a process, or no test."""
    if not mounts_are_allowed():
        pytest.skip("only root may mount a disk")


@pytest.mark.usefixtures("mounts")
async def test_a_full_disk_costs_the_records_and_neither_voice_nor_ear_nor_floor_nor_door(hearing: Hearing) -> None:
    async with on_a_small_disk(hearing) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        server.fill()
        call = server.begin_conversing("Which port?")
        full = (await server.answer(call))["result"]["structuredContent"]
        assert (full["status"], full["response"]) == ("answered", WORDS)
        assert full["spoken"]["status"] == "completed"
        assert "No space left" in full["spoken"]["note"]
        server.clear()
        again = (await server.answer(server.begin_conversing("And now?")))["result"]["structuredContent"]
        assert (again["status"], again["response"]) == ("answered", WORDS)
        heard = server.disk / Path(again["audio_path"]).relative_to(hearing.root)
        with wave.open(str(heard), "rb") as file:
            assert file.getnframes() > 16_000
        for path in server.disk.glob("logs/*/*.jsonl"):
            for line in path.read_text().splitlines():
                json.loads(line)
        doors = [path.name for path in (server.disk / "run").iterdir() if path.suffix == ".sock"]
        assert doors == [f"{server.process.pid}.sock"]
        server.close_input()
        assert await server.exit_code() == 0


@pytest.mark.usefixtures("mounts")
async def test_a_full_disk_is_told_when_nobody_understood(hearing: Hearing) -> None:
    hearing.endpoint.always_hear(Behaviour.refusing(500, "out of memory"))
    async with on_a_small_disk(hearing) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        server.fill()
        failed = (await server.answer(server.begin_conversing("Which port?")))["result"]["structuredContent"]
        assert failed["error"] == "transcription_failed"
        assert "could not be kept" in failed["hint"]
        server.close_input()
        assert await server.exit_code() == 0


@pytest.mark.usefixtures("mounts")
async def test_a_disk_that_is_full_from_the_start_costs_the_records_alone(hearing: Hearing) -> None:
    async with on_a_small_disk(hearing) as server:
        await server.initialize()
        server.fill()
        result = (await server.answer(server.begin_conversing("Which port?")))["result"]["structuredContent"]
        assert (result["status"], result["response"]) == ("answered", WORDS)
        server.close_input()
        assert await server.exit_code() == 0
        await server._error_reader
        assert "Traceback" not in server.errors


async def test_a_lock_that_somebody_keeps_does_not_keep_the_process_at_its_end(hearing: Hearing) -> None:
    (hearing.root / "audio").mkdir(parents=True, mode=0o700)
    async with hearing.server() as server:
        await server.initialize()
        with locked(hearing.root / "audio"):
            server.begin_conversing("Which port?")
            await server.told("listening: you are heard")
            pids = children(server.process.pid)
            server.close_input()
            assert await server.exit_code() == 0
            for pid in pids.values():
                await gone(pid)
    nothing_is_held(hearing.root)


async def test_what_a_killed_server_recorded_is_there_up_to_its_last_block(tmp_path: Path) -> None:
    message = "This sentence is one of many and takes its time. " * 20
    async with StdioServer(tmp_path, {"VOICEMODE_SAVE_AUDIO": "true"}) as server:
        await server.initialize()
        server.begin_speaking(message)
        await server.speaking()
        await eventually_async(lambda: recordings(tmp_path) and recordings(tmp_path)[0].stat().st_size > 9_000, 20.0)
        server.process.kill()
        await server.exit_code()
    (path,) = recordings(tmp_path)
    with wave.open(str(path), "rb") as file:
        assert file.getnframes() * 2 <= path.stat().st_size
    assert (await expected(message)).startswith(recorded(path))
    assert os.stat(path).st_mode & 0o777 == 0o600
