"""Conversations that are cancelled at all moments there are: no microphone stays open, and the next one is whole."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult

from tests.stress.load import Vitals, numbered, times
from tests.stress.steps import Steps, is_cancelled
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, logged_events, make_house
from tests.support.stdio import gone
from voice_mcp.app import App
from voice_mcp.server import create_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="counts what a process holds in /proc"),
]

CALLS = times(150)
WHOLE_EVERY = 25
"""After so many cancelled calls comes one that is not."""
SEED = 20_262
WAIT_S = 20.0


class Unheeded(Context[Any, Any]):
    """The context of a call whose client takes no progress and has no forms."""

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Nobody listens."""

    @property
    def client_capabilities(self) -> None:
        return None


async def converse(app: App, server: Any, message: str) -> dict[str, Any]:
    """The real tool; its structured result."""
    arguments = {"message": message, "listen_duration_max": 0.05}
    result = await server.call_tool("converse", arguments, Unheeded(mcp_server=server))
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result
    return result.structured_content or {}


async def quiet(app: App) -> None:
    """Wait until nobody speaks or listens, and all of it is on record."""
    async with asyncio.timeout(WAIT_S):
        for conversing in app.dialogue.unfinished:
            await conversing.ended()
        while app.speaker.current is not None or app.speaker.queued:
            await asyncio.to_thread(app.journal.flush, WAIT_S)
        await asyncio.to_thread(app.journal.flush, WAIT_S)


async def test_a_conversation_may_be_cancelled_at_every_step_any_task_makes(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    with SpeechEndpoint(hears="Nobody says anything") as endpoint:
        app = make_house(
            tmp_path,
            audio_output="null",
            output_device="100x",
            stream_max_buffer=60.0,
            audio_input="null",
            stt_base_urls=(endpoint.base_url,),
        )
        server, steps, vitals = create_server(app), Steps(), list[Vitals]()
        with steps.counted():
            await converse(app, server, "Hi.")
            await quiet(app)
            await is_cancelled(steps.begin(converse(app, server, "How many steps?")))
            all_steps = steps.count
            for call in range(CALLS):
                at = moments.randrange(round(1.1 * all_steps))
                await is_cancelled(steps.begin(converse(app, server, numbered(call, words=0)), at))
                if call % WHOLE_EVERY == 0:
                    whole = await converse(app, server, f"Whole {numbered(call, words=0)}")
                    assert (whole["status"], whole["spoken"]["status"]) == ("no_speech", "completed")
                    await quiet(app)
                    vitals.append(Vitals.of_this_process())
            await quiet(app)
        assert app.audio_process_id is not None
        pids = vitals[-1].children
        await app.aclose()
        for pid in pids:
            await gone(pid)

    kinds = [event["event_type"] for event in logged_events(tmp_path)]
    for start, end in (
        ("TOOL_REQUEST_START", "TOOL_REQUEST_END"),
        ("TTS_START", "TTS_PLAYBACK_END"),
        ("FLOOR_ACQUIRED", "FLOOR_RELEASED"),
        ("RECORDING_START", "RECORDING_END"),
    ):
        assert kinds.count(start) == kinds.count(end) > 0, start
    assert kinds.count("TOOL_CANCELLED") > CALLS // 2
    texts = [line["text"] for line in exchanges(tmp_path)]
    assert len(texts) == len(set(texts)), "nothing is on record twice"
    late = vitals[len(vitals) // 2 :]
    assert max(look.descriptors for look in late) <= max(look.descriptors for look in vitals[: len(vitals) // 2]) + 1
    assert {len(look.children) for look in late} == {2}, "one process plays, one listens"
