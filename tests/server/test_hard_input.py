"""What a host should never send, in both eras of the protocol: it is answered as the protocol says, or ends cleanly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp_types.version import LATEST_MODERN_VERSION

from tests.support.stdio import StdioServer

pytestmark = pytest.mark.anyio

MB = 1_000_000
GARBAGE = (
    b"not json\n",
    b"\xff\xfe\x00\x80binary\x00garbage\n",
    b'"a string"\n',
    b"[1, 2]\n",
    b"{}\n",
    b"\n",
    b"null\n",
    b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}\n',
    b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}\n',
    b"[" * 100_000 + b"\n",
)


class Host:
    """A host of one era, over a server's raw lines."""

    def __init__(self, server: StdioServer, era: str) -> None:
        self._server = server
        self._is_modern = era == "modern"

    async def begin(self) -> None:
        """Say hello, in the era that has a hello."""
        if not self._is_modern:
            await self._server.initialize()

    async def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, with what every request of the era says of its sender."""
        return await self._server.ask(method, self._given(params))

    def _given(self, params: dict[str, Any] | None) -> dict[str, Any]:
        if not self._is_modern:
            return params or {}
        about = {
            "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return {**(params or {}), "_meta": about}

    async def speaks(self) -> None:
        """It serves as ever."""
        answer = await self.ask("tools/call", {"name": "speak", "arguments": {"message": "Hi."}})
        assert answer["result"]["structuredContent"]["status"] == "completed", answer


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_garbage_on_the_input_costs_nothing_that_follows(tmp_path: Path, era: str) -> None:
    async with StdioServer(tmp_path) as server:
        host = Host(server, era)
        await host.begin()
        for garbage in GARBAGE:
            server.write(garbage)
        assert (await host.ask("no/such/method"))["error"]["code"] == -32601
        unknown_tool = await host.ask("tools/call", {"name": "sing", "arguments": {}})
        assert "error" in unknown_tool or unknown_tool["result"]["isError"]
        await host.speaks()
        server.close_input()
        assert await server.exit_code() == 0


async def test_a_line_of_ten_megabytes_is_answered_like_any_other(tmp_path: Path, era: str) -> None:
    async with StdioServer(tmp_path) as server:
        host = Host(server, era)
        await host.begin()
        unknown = await host.ask("no/such/method", {"padding": "x" * 10 * MB})
        assert unknown["error"]["code"] == -32601
        long_message = {"name": "speak", "arguments": {"message": "word " * (2 * MB)}}
        refused = (await host.ask("tools/call", long_message))["result"]
        assert refused["isError"]
        assert len(json.dumps(refused)) < 2_000, "it is not quoted"
        server.write(b"x" * 10 * MB + b"\n")
        await host.speaks()
        server.close_input()
        assert await server.exit_code() == 0


@pytest.mark.parametrize("rest", [b'{"jsonrpc": "2.0", "id": 9, "meth', b"\xf0\x9f\x98", b"x" * 10 * MB])
async def test_half_a_line_and_then_the_end_is_a_clean_end_in_both_eras(tmp_path: Path, era: str, rest: bytes) -> None:
    async with StdioServer(tmp_path) as server:
        host = Host(server, era)
        await host.begin()
        await host.speaks()
        server.write(rest)
        server.close_input()
        assert await server.exit_code() == 0
        await server._error_reader
        assert "Traceback" not in server.errors
