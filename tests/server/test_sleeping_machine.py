"""A machine that is closed in the middle of something: nothing hangs, and every call has a clear end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.server.hearing_server import LATE, WORDS, Hearing, hears, nothing_is_held, write_wav
from tests.server.hearing_server import hearing as hearing
from tests.support.house import exchanges, logged_events
from tests.support.processes import AUDIO, MICROPHONE, asleep, child, children
from tests.support.spoken import said, silence
from tests.support.stdio import StdioServer, gone

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="stops processes, and finds them in /proc"),
]

SLEEP_S = 4.0
"""Longer than anything may be silent that is asked to report."""
MESSAGE = "This sentence is one of a few and takes its time. " * 3


async def ended_well(server: StdioServer) -> None:
    """End a server; no process is left of it."""
    started = children(server.process.pid)
    server.close_input()
    assert await server.exit_code() == 0
    for pid in started.values():
        await gone(pid)
    await server._error_reader
    assert LATE not in server.errors
    assert "Traceback" not in server.errors


@pytest.mark.parametrize("who", ["everybody", "the server", "the audio process"])
async def test_who_sleeps_in_the_middle_of_a_sentence_says_the_rest_of_it(tmp_path: Path, who: str) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        call = server.begin_speaking(MESSAGE)
        await server.speaking()
        everybody = {"the server": server.process.pid, "the audio process": await child(server.process.pid, AUDIO)}
        async with asleep(everybody.values() if who == "everybody" else [everybody[who]], SLEEP_S):
            result = (await server.answer(call))["result"]["structuredContent"]
        assert result["status"] == "completed"
        await ended_well(server)
    nothing_is_held(tmp_path)
    (line,) = exchanges(tmp_path)
    assert line["duration_ms"] == pytest.approx(result["duration_s"] * 1000, abs=1)
    kinds = [event["event_type"] for event in logged_events(tmp_path)]
    assert kinds.count("TTS_START") == kinds.count("TTS_PLAYBACK_END") == 1


@pytest.mark.parametrize("who", ["everybody", "the server", "the microphone's process"])
async def test_who_sleeps_while_the_user_speaks_hears_the_rest_and_answers(hearing: Hearing, who: str) -> None:
    write_wav(hearing.file, silence(1.0) + said(number=1, pause_s=0.4) + silence(0.4) + said(number=0))
    async with hearing.server() as server:
        await server.initialize()
        call = server.begin_conversing("Which port?")
        await server.told("listening: you are heard")
        everybody = {
            "the server": server.process.pid,
            "the microphone's process": await child(server.process.pid, MICROPHONE),
            "the audio process": await child(server.process.pid, AUDIO),
        }
        async with asleep(everybody.values() if who == "everybody" else [everybody[who]], SLEEP_S):
            result = (await server.answer(call))["result"]["structuredContent"]
        assert (result["status"], result["response"]) == ("answered", WORDS)
        await ended_well(server)
    nothing_is_held(hearing.root)
    assert hearing.kinds.count("RECORDING_START") == hearing.kinds.count("RECORDING_END") == 1


async def test_what_waited_while_everybody_slept_is_said_in_its_turn(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as speaking, StdioServer(tmp_path) as waiting:
        await speaking.initialize()
        await waiting.initialize()
        first = speaking.begin_speaking(MESSAGE)
        await speaking.speaking()
        second = waiting.begin_speaking("And now this one.")
        await waiting.told("waiting for 1 other to finish")
        pids = [server.process.pid for server in (speaking, waiting)]
        async with asleep([*pids, *(pid for each in pids for pid in children(each).values())], SLEEP_S):
            results = [await speaking.answer(first), await waiting.answer(second)]
        assert [each["result"]["structuredContent"]["status"] for each in results] == ["completed"] * 2
        await ended_well(speaking)
        await ended_well(waiting)
    nothing_is_held(tmp_path)
    kinds = [event["event_type"] for event in logged_events(tmp_path)]
    assert kinds.index("FLOOR_RELEASED") < len(kinds) - 1 - kinds[::-1].index("FLOOR_ACQUIRED")


async def test_a_server_that_sleeps_while_it_listens_can_be_ended_when_it_wakes(hearing: Hearing) -> None:
    async with hearing.server() as server:
        await hears(server)
        async with asleep([server.process.pid, *children(server.process.pid).values()], SLEEP_S):
            await ended_well(server)
    nothing_is_held(hearing.root)
    assert hearing.kinds.count("RECORDING_START") == hearing.kinds.count("RECORDING_END") == 1
