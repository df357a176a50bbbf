"""Calls `speak` as a host does: starts the server, shows captions while it speaks, prints the result.

    python examples/mcp_client.py "Hello from a real MCP client."

Needs no key. Every setting works, for instance VOICEMODE_TTS_ENGINE=espeak for the embedded voice alone.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

MESSAGE = "Hello! You hear this sentence **while the next one is still being made**. That is all."


async def show_caption(progress: float, total: float | None, message: str | None) -> None:
    """Print a progress notification: how many seconds the voice has spoken, of how many, and its sentence."""
    of_total = "" if total is None else f" of {total:.1f}"
    print(f"{progress:5.1f}{of_total} s  {message or ''}")


async def main(message: str) -> None:
    """Say ``message`` through a server of its own."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "voice_mcp"],
        env=dict(os.environ),  # otherwise the SDK passes on only a few variables, and no VOICEMODE_ one
    )
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool("speak", {"message": message}, progress_callback=show_caption)
    facts = result.structured_content or {}
    if result.is_error:
        sys.exit(f"{facts.get('message')} {facts.get('hint')}")
    for name, value in facts.items():
        print(f"{name:16}{value}")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or MESSAGE))
