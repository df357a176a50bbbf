"""From the start of the process to the answer to tools/list, and the memory then: against a bare server, in turns."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median
from benchmarks.memory import rss_mb
from tests.support.stdio import StdioServer

RUNS = 15

BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
async def echo(text: str) -> str:
    return text
server.run("stdio")
"""


async def measure() -> list[Figure]:
    """Start both, one after the other, ``RUNS`` times."""
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = [], []
        for _ in range(RUNS):
            bare.append(await _start(Path(folder), ("-c", BARE)))
            ours.append(await _start(Path(folder), ("-m", "voice_mcp")))
    ours_s, bare_s = median(run[0] for run in ours), median(run[0] for run in bare)
    ours_mb, bare_mb = median(run[1] for run in ours), median(run[1] for run in bare)
    return [
        Figure(
            "spawn to tools/list, of a bare server",
            ours_s / bare_s,
            "x",
            1.25,
            f"{ours_s * 1000:.0f} ms against {bare_s * 1000:.0f} ms, median of {RUNS}",
        ),
        Figure(
            "memory after tools/list, above it", ours_mb - bare_mb, "MB", 15, f"RSS {ours_mb:.0f} to {bare_mb:.0f} MB"
        ),
    ]


async def _start(base_dir: Path, arguments: tuple[str, ...]) -> tuple[float, float]:
    """Seconds to the answer, and MB of memory right then."""
    began_s = time.perf_counter()
    async with StdioServer(base_dir, arguments=arguments) as server:
        await server.initialize()
        await server.ask("tools/list")
        elapsed_s = time.perf_counter() - began_s
        memory_mb = rss_mb(server.process.pid)
        server.close_input()
        await server.exit_code()
    return elapsed_s, memory_mb


if __name__ == "__main__":
    print(asyncio.run(measure()))
