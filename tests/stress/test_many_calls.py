"""Many calls at once, in one server and in many: every one is spoken once, in its turn, and on record whole."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.stress.load import QUICK, expected, numbered, recorded, recordings, times
from tests.support.house import exchanges, logged_events
from tests.support.stdio import StdioServer, gone

pytestmark = pytest.mark.anyio

CALLS = times(50)
SERVERS = 8
CALLS_EACH = times(4)
WAIT_S = 60.0 + CALLS / 2


def a_message(number: int) -> str:
    """Now and then a long one, so that short ones that came later could overtake it."""
    return numbered(number, words=60 if number % 10 == 0 else number % 5)


async def answers(server: StdioServer, calls: list[int]) -> dict[int, dict[str, Any]]:
    """The results of ``calls``, which may come in any order."""
    found: dict[int, dict[str, Any]] = {}
    async with asyncio.timeout(WAIT_S):
        while len(found) < len(calls):
            line = await server.line_where(lambda line: line.get("id") in calls and "method" not in line)
            assert line["id"] not in found, "a call was answered twice"
            found[line["id"]] = line["result"]
    return found


@pytest.mark.parametrize("output", ["null", "file"])
async def test_calls_that_come_at_once_are_all_spoken_once_in_the_order_of_their_arrival(
    tmp_path: Path, output: str
) -> None:
    messages = [a_message(number) for number in range(CALLS)]
    env = {**QUICK, "VOICEMODE_AUDIO_OUTPUT": output}
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        calls = [server.begin_speaking(message) for message in messages]
        results = await answers(server, calls)
        audio_process = await server.audio_process()
        server.close_input()
        assert await server.exit_code() == 0
        await gone(audio_process)

    said = {line["utterance_id"]: line for line in exchanges(tmp_path)}
    in_order = [event["utterance_id"] for event in logged_events(tmp_path) if event["event_type"] == "TTS_START"]
    assert [said[utterance]["text"] for utterance in in_order] == messages
    assert len(said) == len(set(in_order)) == CALLS
    for message, call, utterance in zip(messages, calls, in_order, strict=True):
        line, frames = said[utterance], await expected(message)
        assert recorded(tmp_path / line["audio_file"]) == frames, message
        assert not results[call]["isError"]
        result = results[call]["structuredContent"]
        assert result["utterance_id"] == utterance
        assert result["status"] == ("saved" if output == "file" else "completed")
        assert result["duration_s"] == pytest.approx(len(frames) / 48_000, abs=0.001)
        assert result.get("note") is None
    assert len(recordings(tmp_path)) == CALLS


async def test_many_servers_share_one_data_root_and_lose_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(SERVERS):
            servers.append(await stack.enter_async_context(StdioServer(tmp_path, QUICK)))
            await servers[-1].initialize()
        audio_processes = await asyncio.gather(*(speak_all(server, index) for index, server in enumerate(servers)))
        for server in servers:
            server.close_input()
        assert [await server.exit_code() for server in servers] == [0] * SERVERS
        for audio_process in audio_processes:
            await gone(audio_process)

    wanted = {a_message(index * CALLS_EACH + call) for index in range(SERVERS) for call in range(CALLS_EACH)}
    lines = exchanges(tmp_path)
    assert Counter(line["text"] for line in lines) == Counter(wanted), "one line for each message"
    assert {line["metadata"]["status"] for line in lines} == {"completed"}
    for line in lines:
        assert recorded(tmp_path / line["audio_file"]) == await expected(line["text"])
    assert len({line["audio_file"] for line in lines}) == len(recordings(tmp_path)) == len(wanted)
    every_line_is_whole(tmp_path)
    kinds = Counter(event["event_type"] for event in logged_events(tmp_path))
    for start, end in (("TOOL_REQUEST_START", "TOOL_REQUEST_END"), ("TTS_START", "TTS_PLAYBACK_END")):
        assert kinds[start] == kinds[end] == len(wanted)


async def speak_all(server: StdioServer, index: int) -> int:
    """Let one server say its share; its audio process."""
    calls = [server.begin_speaking(a_message(index * CALLS_EACH + call)) for call in range(CALLS_EACH)]
    results = await answers(server, calls)
    assert [results[call]["structuredContent"]["status"] for call in calls] == ["completed"] * CALLS_EACH
    return await server.audio_process()


def every_line_is_whole(base_dir: Path) -> None:
    for file in (base_dir / "logs").rglob("*.jsonl"):
        text = file.read_text(encoding="utf-8")
        assert text.endswith("\n")
        for line in text.splitlines():
            assert isinstance(json.loads(line), dict)
