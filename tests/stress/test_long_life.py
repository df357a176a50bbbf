"""A server that has lived long: what it holds after its last call is what it held after its first hundreds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.stress.load import QUICK, Vitals, numbered, times, trend
from tests.support.house import exchanges
from tests.support.stdio import StdioServer, gone

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="counts what a process holds in /proc"),
]

CALLS = times(500)
LOOKED_AT_EVERY = 10
RSS_TOLERANCE_KIB = 768
"""As for calls that are cancelled: three arenas of Python's allocator, over a quarter of the calls."""


async def test_the_five_hundredth_call_is_served_by_a_process_that_holds_no_more(tmp_path: Path) -> None:
    env = {**QUICK, "VOICEMODE_SAVE_AUDIO": "false", "VOICEMODE_TTS_SPEED": "4"}
    seen: list[tuple[Vitals, Vitals]] = []
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        audio_process = await server.audio_process()
        for call in range(CALLS):
            answer = await server.answer(server.begin_speaking(numbered(call, words=0)))
            assert answer["result"]["structuredContent"]["status"] == "completed"
            if call % LOOKED_AT_EVERY == 0:
                seen.append((Vitals.of(server.process.pid), Vitals.of(audio_process)))
        assert await server.audio_process() == audio_process
        server.close_input()
        assert await server.exit_code() == 0
        await gone(audio_process)
    assert len(exchanges(tmp_path)) == CALLS + 1
    for of_process in zip(*seen, strict=True):
        half = len(of_process) // 2
        before, after = of_process[:half], of_process[half:]
        assert min(look.descriptors for look in after) <= min(look.descriptors for look in before), of_process
        assert trend([look.rss_kib for look in of_process]) <= RSS_TOLERANCE_KIB, of_process
