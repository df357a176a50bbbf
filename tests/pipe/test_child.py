"""The server's end of an audio process: its reports, and what becomes of whoever waits for one."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import Process
from typing import Any

import pytest

from voice_mcp.pipe.child import AudioChild

pytestmark = pytest.mark.anyio

WAIT_S = 10.0
REPORTS = 'import sys; print(\'{"n": 1}\\n{"n": 2}\', flush=True); sys.stdin.read()'


async def test_a_report_that_nobody_can_take_ends_the_process_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    seen: list[int] = []

    def take(report: dict[str, Any]) -> None:
        seen.append(report["n"])
        if len(seen) == 1:
            raise LookupError("nobody knows what that is")

    def end(process: Process, code: int | None) -> None:
        if not ended.done():
            ended.set_result(code)

    child = AudioChild((sys.executable, "-c", REPORTS), take, end)
    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(WAIT_S):
            await child.start()
            assert await ended != 0
            await child.start()  # the next one starts as if nothing had been
            assert child.process is not None
            await child.aclose()
    assert seen[0] == 1
    assert "nobody knows what that is" in caplog.text


@pytest.mark.parametrize("line", ["no JSON", "[1]", '{"bytes": "many"}'])
async def test_what_is_no_report_ends_the_process_too(line: str, caplog: pytest.LogCaptureFixture) -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    command = (sys.executable, "-c", f"import sys; print({line!r}, flush=True); sys.stdin.read()")
    child = AudioChild(command, lambda report: None, lambda process, code: ended.set_result(code))
    async with asyncio.timeout(WAIT_S):
        await child.start()
        assert await ended != 0
        await child.aclose()
    assert "could not be taken" in caplog.text
