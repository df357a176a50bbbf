"""Who is measured: this server, and the peer, each a real MCP server over stdio.

Both get the same endpoint and the same card, and are otherwise as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peer import Peer
from tests.support.stdio import StdioServer

BUSY_THREADS = 3
BUSY_AFTER_S = 6.0
"""How long a busy server has to start before it becomes busy."""

_EXEC = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
_OURS = "from voice_mcp.__main__ import main; main()"
_PEERS = "from voice_mode.cli import voice_mode; voice_mode()"
_BUSY = f"""
import sys, threading, time
sys.argv = ["server"]
def spin():
    time.sleep({BUSY_AFTER_S})
    while True:
        sum(range(1000))
for _ in range({BUSY_THREADS}):
    threading.Thread(target=spin, daemon=True).start()
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who speaks."""

    name: str
    tool: str
    arguments: Mapping[str, object]
    """Of every call, besides ``message``."""
    command: tuple[str, ...]
    """What follows ``python``."""
    busy_command: tuple[str, ...]
    """The same with busy threads in its process."""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it is this project's."""
        return self.tool == "speak"

    def server(self, folder: Path, env: Mapping[str, str], base_url: str, *, busy: bool = False) -> StdioServer:
        """A server that has nothing but ``folder``, and speaks with the voice of ``base_url``."""
        settings: dict[str, str | None] = {
            "VOICEMODE_TTS_ENGINE": None,
            "VOICEMODE_AUDIO_OUTPUT": None,
            "VOICEMODE_TTS_BASE_URLS": base_url,
            "HOME": str(folder),
            "NO_PROXY": "127.0.0.1",
            **env,
            **self.env,
        }
        return StdioServer(folder / "data", settings, self.busy_command if busy else self.command)

    def begin(self, server: StdioServer, message: str) -> int:
        """Have it speak; the call's id."""
        params = {
            "name": self.tool,
            "arguments": {"message": message, **self.arguments},
            "_meta": {"progressToken": "p"},
        }
        return server.begin("tools/call", params)


def ours() -> Contender:
    """This project's server."""
    return Contender(
        name="voice-mcp",
        tool="speak",
        arguments={},
        command=("-m", "voice_mcp"),
        busy_command=("-c", _BUSY + _OURS),
        # What speaks in the endpoint's place would hide how the endpoint was dealt with.
        env={"VOICEMODE_TTS_ENGINE": "openai"},
    )


def theirs(peer: Peer) -> Contender:
    """The peer's server."""
    python = str(peer.python)
    return Contender(
        name=peer.name,
        tool="converse",
        arguments={"wait_for_response": False},
        command=("-c", _EXEC, python, "-c", "import sys; sys.argv = ['server']\n" + _PEERS),
        busy_command=("-c", _EXEC, python, "-c", _BUSY + _PEERS),
        # It asks no endpoint without a key, and its framework would ask the package index for news.
        env={"OPENAI_API_KEY": "none", "FASTMCP_CHECK_FOR_UPDATES": "off"},
    )


async def answered(server: StdioServer, request_id: int, limit_s: float) -> dict[str, Any] | None:
    """The result of a call, however long nothing is said meanwhile; None where there was none in time."""
    deadline_s = time.perf_counter() + limit_s
    while time.perf_counter() < deadline_s:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline_s - time.perf_counter())):
                line = await server.line_where(lambda line: True)
                if line.get("id") == request_id and "method" not in line:
                    result: dict[str, Any] = line.get("result", {"isError": True})
                    return result
    return None
