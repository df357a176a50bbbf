"""The real server as a host starts it: a process, its pipes, and raw JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import eventually_async

ANSWER_S = 20.0
"""Bound of every wait for an answer; generous, for machines that are busy."""


class StdioServer:
    """One server process, spoken to in the older handshake.

    Args:
        base_dir: Its data root.
        env: More of its environment; None values take a variable away.
        arguments: What follows ``python``.
        under: What runs ``python``: a program that becomes it.
    """

    def __init__(
        self,
        base_dir: Path,
        env: Mapping[str, str | None] | None = None,
        arguments: tuple[str, ...] = ("-m", "voice_mcp"),
        under: tuple[str, ...] = (),
    ) -> None:
        settings: dict[str, str | None] = {
            "VOICEMODE_BASE_DIR": str(base_dir),
            "VOICEMODE_TTS_ENGINE": "tone",
            "VOICEMODE_AUDIO_OUTPUT": "null",
            **(env or {}),
        }
        merged = {**os.environ, **settings}
        self._env = {name: value for name, value in merged.items() if value is not None}
        self._command = (*under, sys.executable, *arguments)
        self._next_id = 0
        self._errors = bytearray()
        self.lines: list[dict[str, Any]] = []
        """Everything it has said on standard output."""

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            limit=1 << 24,
        )
        self._error_reader = asyncio.create_task(self._read_errors())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._error_reader

    @property
    def errors(self) -> str:
        """What it has said on standard error."""
        return self._errors.decode(errors="replace")

    async def initialize(self) -> dict[str, Any]:
        """Shake hands."""
        answer = await self.ask(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        )
        self.notify("notifications/initialized")
        return answer

    def write(self, data: bytes) -> None:
        """Put bytes on its standard input, whatever they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params or {}})

    def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request and do not wait; its id."""
        self._next_id += 1
        self._send({"id": self._next_id, "method": method, "params": params or {}})
        return self._next_id

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        return await self.answer(self.begin(method, params))

    async def answer(self, request_id: int) -> dict[str, Any]:
        """Wait for the answer to a request."""
        return await self.line_where(lambda line: line.get("id") == request_id and "method" not in line)

    async def line_where(self, wanted: Any) -> dict[str, Any]:
        """Wait for the next line that ``wanted`` accepts."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                line = await self._read_line()
                if wanted(line):
                    return line

    def begin_speaking(self, message: str, **arguments: Any) -> int:
        """Call ``speak`` with progress and do not wait."""
        params = {"name": "speak", "arguments": {"message": message, **arguments}, "_meta": {"progressToken": "p"}}
        return self.begin("tools/call", params)

    def begin_conversing(self, message: str | None = None, **arguments: Any) -> int:
        """Call ``converse`` with progress and do not wait."""
        given = {"message": message, **arguments} if message is not None else arguments
        params = {"name": "converse", "arguments": given, "_meta": {"progressToken": "p"}}
        return self.begin("tools/call", params)

    async def told(self, message: str) -> None:
        """Wait until progress says ``message``."""
        await self.line_where(
            lambda line: line.get("method") == "notifications/progress" and line["params"].get("message", "") == message
        )

    async def speaking(self) -> None:
        """Wait until a few words have been heard."""
        await self.line_where(
            lambda line: line.get("method") == "notifications/progress" and line["params"]["progress"] > 0.4
        )

    async def audio_process(self) -> int:
        """The audio process it has."""
        answer = await self.ask("resources/read", {"uri": "voice://status"})
        return int(json.loads(answer["result"]["contents"][0]["text"])["audio_process"])

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(ANSWER_S):
            return await self.process.wait()

    def close_input(self) -> None:
        """What a host does that goes away."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _send(self, message: dict[str, Any]) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def _read_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        raw = await self.process.stdout.readline()
        if not raw:
            raise EOFError(f"the server closed its output; it said: {self.errors}")
        line: dict[str, Any] = json.loads(raw)
        self.lines.append(line)
        return line

    async def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while block := await self.process.stderr.read(1 << 16):
            self._errors += block


async def gone(pid: int) -> None:
    """Wait until a process is no more."""
    await eventually_async(lambda: not _is_alive(pid), 5.0, f"the end of process {pid}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A zombie that its new parent has not collected yet is no longer a process for anybody.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it has just been collected, or this system has no /proc
        return not Path("/proc/self").exists()
