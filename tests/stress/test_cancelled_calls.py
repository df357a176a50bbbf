"""A thousand calls that are cancelled at all moments there are: nothing stays behind, and nobody else loses a frame."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult

from tests.stress.load import QUICK, Vitals, expected, numbered, recorded, recordings, times, trend
from tests.stress.steps import Steps, is_cancelled
from tests.support.house import exchanges, logged_events, make_house
from tests.support.stdio import StdioServer, gone
from voice_mcp.app import App
from voice_mcp.server import create_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="counts what a process holds in /proc"),
]

IN_THE_HOUSE = times(880)
THROUGH_THE_SERVER = times(120)
LAST_MOMENT_S = 0.04
"""About twice as long as the calls through the server take."""
SPEED = 4.0
"""Little sound in each call, so that its beginnings and ends are what is met."""
SEED = 20_261
CHECKED_EVERY = 5
"""After so many cancelled calls comes one that is not, and is looked at frame by frame."""
LOOKED_AT_EVERY = 40
RSS_TOLERANCE_KIB = 768
"""What a process may seem to grow by over a quarter of the calls, in its middle. Python's allocator takes memory by 256
KiB (1 MiB from 3.13's arenas on) and the C library's by 132, so a process that holds nothing new still moves by one or
two of those; a leak of a kilobyte a cancelled call would be seen in a thousand calls, one of a whole utterance (100 KiB
of frames) at the tenth."""
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads asyncio starts for what would block, one by one as it finds the others at work, and keeps."""
WAIT_S = 20.0


class Unheeded(Context[Any, Any]):
    """The context of a call whose client takes no progress."""

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Nobody listens."""


class House:
    """A house, its tools, and what it held each time somebody looked."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._server = create_server(app)
        self.vitals: list[tuple[Vitals, Vitals]] = []
        self.objects: list[int] = []
        self.tasks: list[int] = []

    async def speak(self, message: str) -> dict[str, Any]:
        """The real tool, from its front door on; its structured result."""
        result = await self._server.call_tool("speak", {"message": message}, Unheeded(mcp_server=self._server))
        assert isinstance(result, CallToolResult)
        assert not result.is_error, result
        return result.structured_content or {}

    async def quiet(self) -> None:
        """Wait until nobody speaks, and all that was said is on record."""
        async with asyncio.timeout(WAIT_S):
            speaker = self.app.speaker
            while speaker.current is not None or speaker.queued or speaker.floor.is_busy:
                await asyncio.to_thread(self.app.journal.flush, WAIT_S)

    def look(self) -> None:
        """Note what this process and its audio process hold now."""
        gc.collect()
        assert self.app.audio_process_id is not None
        self.vitals.append((Vitals.of_this_process(), Vitals.of(self.app.audio_process_id)))
        self.objects.append(len(gc.get_objects()))
        self.tasks.append(len(asyncio.all_tasks()))


async def test_a_call_may_be_cancelled_at_every_step_any_task_makes(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    settings: dict[str, Any] = {
        "audio_output": "null",
        "output_device": "100x",
        "stream_max_buffer": 60.0,
        "save_audio": True,
    }
    house, steps = House(make_house(tmp_path, tts_speed=SPEED, **settings)), Steps()
    whole: list[str] = []
    with steps.counted():
        await house.speak("Hi.")
        await is_cancelled(steps.begin(house.speak(numbered(0, words=0))))
        all_steps = steps.count
        for call in range(IN_THE_HOUSE):
            # Every step once, in order; then again and again, up to well after the end.
            at = call if call <= all_steps else moments.randrange(round(1.3 * all_steps))
            cancelled = await is_cancelled(steps.begin(house.speak(numbered(call, words=0)), at))
            if not cancelled:
                whole.append(numbered(call, words=0))
            if call % CHECKED_EVERY == 0:
                whole.append(f"Whole {numbered(call, words=0)}")
                result = await house.speak(whole[-1])
                assert result["status"] == "completed"
            if call % LOOKED_AT_EVERY == 0:
                await house.quiet()
                house.look()
        await house.quiet()
    audio_process = house.app.audio_process_id
    await house.app.aclose()
    assert audio_process is not None
    await gone(audio_process)

    await nothing_is_missing(tmp_path, whole)
    nothing_was_left_behind(house)


def nothing_was_left_behind(house: House) -> None:
    assert len({count for count in house.tasks[len(house.tasks) // 2 :]}) == 1, house.tasks
    all_flat(house.vitals)
    # A call makes thousands of objects. The few that come are those in which this test keeps what it saw.
    calls_between = len(house.objects) // 4 * LOOKED_AT_EVERY
    assert trend(house.objects) < calls_between, house.objects


def all_flat(vitals: list[tuple[Vitals, Vitals]]) -> None:
    """Neither the server nor its audio process grew in the second half of what was seen."""
    flat([server for server, _ in vitals], pool=POOL)
    flat([audio for _, audio in vitals], pool=0)


def flat(seen: list[Vitals], *, pool: int) -> None:
    """Nothing grows once half of it is over; ``pool`` threads may be started at any time, once."""
    before, after = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    # The least counts: while somebody looks, a line may be on its way to a log, and a recording to the disk.
    assert min(look.threads for look in after) <= min(look.threads for look in before) + pool, seen
    assert min(look.descriptors for look in after) <= min(look.descriptors for look in before), seen
    assert len({look.children for look in after}) == 1, "an audio process was lost or left behind"
    assert trend([look.rss_kib for look in seen]) <= RSS_TOLERANCE_KIB, [look.rss_kib for look in seen]


async def nothing_is_missing(base_dir: Path, whole: list[str]) -> None:
    """What was not cancelled is on record with every frame; of the rest, the beginning."""
    lines = {line["text"]: line for line in exchanges(base_dir)}
    for message in whole:
        line = lines[message]
        assert line["metadata"]["status"] == "completed"
        assert recorded(base_dir / line["audio_file"]) == await expected(message, SPEED), message
    for number, (message, line) in enumerate(lines.items()):
        assert (line["audio_file"] is not None) == (line["duration_ms"] > 0), line
        if line["audio_file"] is not None and number % CHECKED_EVERY == 0:
            assert (await expected(message, SPEED)).startswith(recorded(base_dir / line["audio_file"])), message
        if line["metadata"]["status"] == "interrupted":
            both = f"{line['metadata']['heard']} {line['metadata']['unheard']}"
            assert both.split() == message.split(), "a word is neither heard nor unheard"
    assert len([line for line in lines.values() if line["audio_file"]]) == len(recordings(base_dir))
    kinds = [event["event_type"] for event in logged_events(base_dir)]
    for start, end in (
        ("TOOL_REQUEST_START", "TOOL_REQUEST_END"),
        ("TTS_START", "TTS_PLAYBACK_END"),
        ("FLOOR_ACQUIRED", "FLOOR_RELEASED"),
    ):
        assert kinds.count(start) == kinds.count(end), start


async def test_a_server_goes_on_after_each_call_its_host_cancels(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    vitals: list[tuple[Vitals, Vitals]] = []
    whole: list[str] = []
    async with StdioServer(tmp_path, {**QUICK, "VOICEMODE_TTS_SPEED": str(SPEED)}) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        audio_process = await server.audio_process()
        for call in range(THROUGH_THE_SERVER):
            await cancel_one(server, numbered(call), moments.uniform(0, LAST_MOMENT_S))
            if call % CHECKED_EVERY == 0:
                whole.append(f"Whole {numbered(call)}")
                result = (await server.answer(server.begin_speaking(whole[-1])))["result"]
                assert result["structuredContent"]["status"] == "completed"
            if call % CHECKED_EVERY == 0:
                vitals.append((Vitals.of(server.process.pid), Vitals.of(audio_process)))
        assert await server.audio_process() == audio_process
        server.close_input()
        assert await server.exit_code() == 0
        await gone(audio_process)
        assert "Traceback" not in server.errors
    await nothing_is_missing(tmp_path, whole)
    all_flat(vitals)


async def cancel_one(server: StdioServer, message: str, after_s: float) -> None:
    """Call, and cancel when ``after_s`` seconds have brought no answer."""
    call = server.begin_speaking(message)
    answer = asyncio.ensure_future(server.answer(call))
    await asyncio.wait([answer], timeout=after_s)
    server.notify("notifications/cancelled", {"requestId": call})
    if not answer.done():
        answer.cancel()
        await asyncio.wait([answer])
    ping = await server.ask("ping")
    assert "result" in ping
