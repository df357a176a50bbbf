"""Hours of speech at many times the pace of the ear: no frame is lost, no position is wrong, and memory stays flat."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.stress.load import FACTOR, QUICK, Vitals, expected, numbered, recorded, times, trend
from tests.support.house import exchanges
from tests.support.pattern import pattern
from tests.support.stdio import StdioServer
from voice_mcp.playback.link import AudioLink, LinkConfig
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="counts what a process holds in /proc"),
]

FORMAT = PcmFormat(24_000, 1)
PLAYED_S = times(1800)
"""Half an hour of sound in nine seconds; three hours with VOICEMCP_STRESS=6."""
LEAD_S = 240.0
"""How far the sender is ahead: 1.2 s at this pace, for as long as a busy machine may keep a process from running."""
MESSAGES = times(8)
"""Five minutes each, forty in all; sixteen hours with VOICEMCP_STRESS=24."""
KEPT_SHARE = 0.15
"""What a process may seem to keep of the sound that passes it between the middle and the end of a run, and so who would
be seen: whoever keeps a sixth. It has to be a share of much sound, because a process grows by itself, too, by a
megabyte or three and at any moment: the allocator takes whole arenas, and cycles wait for the collector."""
WAIT_S = 120.0 * max(1.0, FACTOR)


async def test_hours_of_sound_pass_the_link_and_its_process_without_a_gap() -> None:
    positions: list[int] = []
    strange: list[PlaybackEvent] = []

    def listen(event: PlaybackEvent) -> None:
        if event.type is PlaybackEventType.POSITION:
            positions.append(event.frames)
        elif event.type in (PlaybackEventType.UNDERRUN, PlaybackEventType.LOST, PlaybackEventType.FAILED):
            strange.append(event)

    # Full before it begins, or what is ahead would be growth whenever a busy machine fills it late.
    policy = BufferPolicy(start_s=LEAD_S * 0.95, rebuffer_s=LEAD_S / 2, most_s=LEAD_S)
    link = AudioLink(LinkConfig(backends=("null",), device="200x", policy=policy, ahead_s=LEAD_S))
    second, seen = pattern(FORMAT.rate_hz), list[tuple[int, int]]()
    async with asyncio.timeout(WAIT_S):
        playback = await link.begin(FORMAT, listen)
        for sent in range(PLAYED_S):
            await playback.write(second)
            if sent % 20 == 0 and link.pid is not None:
                seen.append((Vitals.of(os.getpid()).rss_kib, Vitals.of(link.pid).rss_kib))
        playback.finish()
        ended = await playback.wait()
        await link.aclose()

    assert (ended.frames, ended.heard_frames, ended.underruns) == (PLAYED_S * FORMAT.rate_hz,) * 2 + (0,)
    assert not strange
    assert positions == sorted(positions)
    assert len(positions) >= PLAYED_S * 20, "positions come every 40 ms of sound or so"
    assert_flat(seen, sound_kib=len(second) * PLAYED_S / 1024)


async def test_long_messages_are_on_record_with_every_frame_and_leave_memory_flat(tmp_path: Path) -> None:
    messages = [
        " ".join(numbered(number * 100 + sentence, words=5) for sentence in range(80)) for number in range(MESSAGES)
    ]
    seen: list[tuple[int, int]] = []
    # What is ahead of the ear is no growth, however little of it a busy machine gets ready in the first half.
    async with StdioServer(tmp_path, {**QUICK, "VOICEMODE_STREAM_MAX_BUFFER": "10"}) as server, asyncio.timeout(WAIT_S):
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        audio_process = await server.audio_process()
        results = []
        for message in messages:
            call = server.begin_speaking(message)

            def look(line: dict[str, Any], call: int = call) -> bool:
                if len(server.lines) % 10 == 0:
                    seen.append((Vitals.of(server.process.pid).rss_kib, Vitals.of(audio_process).rss_kib))
                return line.get("id") == call and "method" not in line

            results.append((await server.line_where(look))["result"]["structuredContent"])
        server.close_input()
        assert await server.exit_code() == 0

    said_bytes = 0
    lines = {line["utterance_id"]: line for line in exchanges(tmp_path)}
    for message, result in zip(messages, results, strict=True):
        frames = await expected(message)
        said_bytes += len(frames)
        assert recorded(tmp_path / lines[result["utterance_id"]]["audio_file"]) == frames
        assert result["duration_s"] == pytest.approx(len(frames) / 48_000, abs=0.001)
        assert result["status"] == "completed"
    progress = [line["params"]["progress"] for line in server.lines if line.get("method") == "notifications/progress"]
    assert len(progress) > 100 * MESSAGES
    assert_flat(seen, sound_kib=said_bytes / 1024)


def assert_flat(seen: Sequence[tuple[int, ...]], *, sound_kib: float) -> None:
    """No process of ``seen`` kept a share of the sound: a quarter of it lies between the two looks of a trend."""
    for of_process in zip(*seen, strict=True):
        assert trend(of_process) <= KEPT_SHARE * sound_kib / 4, of_process
