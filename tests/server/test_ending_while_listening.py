"""How a server ends that listens: nothing is left open, locked, half-written or running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import wave
from functools import partial
from pathlib import Path

import pytest

from tests.server.hearing_server import HEARD, LATE, WORDS, Hearing, hears, is_free, nothing_is_held, write_wav
from tests.server.hearing_server import hearing as hearing
from tests.support.house import exchanges
from tests.support.processes import AUDIO, MICROPHONE, child, children
from tests.support.spoken import said, silence
from tests.support.stdio import StdioServer, gone
from tests.support.waiting import eventually_async

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

ENDINGS = ["end of input", "SIGTERM", "SIGINT", "SIGHUP"]


async def end(server: StdioServer, how: str) -> None:
    """End a server, and see that it says so with its exit code."""
    if how == "end of input":
        server.close_input()
        assert await server.exit_code() == 0
    else:
        number = getattr(signal, how)
        server.process.send_signal(number)
        assert await server.exit_code() == 128 + number


def recorded_bytes(root: Path) -> int:
    """How much there is on disk of what the user says."""
    return sum(path.stat().st_size for path in root.glob("audio/*/*_stt.wav"))


@pytest.mark.parametrize("how", ENDINGS)
async def test_an_end_while_the_user_speaks_closes_the_microphone_and_leaves_whole_files(
    hearing: Hearing, how: str
) -> None:
    async with hearing.server() as server:
        await hears(server)
        started = children(server.process.pid)
        assert started.keys() == {AUDIO, MICROPHONE}
        await end(server, how)
        for pid in started.values():
            await gone(pid)
        await server._error_reader
        assert LATE not in server.errors
        assert "Traceback" not in server.errors
    assert hearing.kinds.count("RECORDING_START") == hearing.kinds.count("RECORDING_END") == 1
    assert hearing.kinds.count("TOOL_REQUEST_START") == hearing.kinds.count("TOOL_REQUEST_END") == 1
    nothing_is_held(hearing.root)
    spoken, heard = exchanges(hearing.root)
    assert (spoken["type"], heard["type"], heard["metadata"]["status"]) == ("tts", "stt", "interrupted")
    with wave.open(str(hearing.root / heard["audio_file"]), "rb") as recording:
        assert recording.getnframes() == pytest.approx(heard["duration_ms"] * 16, abs=16)


@pytest.mark.parametrize("how", ENDINGS)
async def test_an_end_while_the_microphone_opens_leaves_nobody_who_could_still_open_it(
    hearing: Hearing, how: str
) -> None:
    # A pipe that nobody writes to opens as a sound system does that hangs.
    fifo = hearing.file.with_name("never.wav")
    os.mkfifo(fifo)
    async with hearing.server(VOICEMODE_INPUT_DEVICE=str(fifo)) as server:
        await server.initialize()
        server.begin_conversing("Which port?")
        microphone = await child(server.process.pid, MICROPHONE)
        await eventually_async(lambda: hearing.kinds.count("TTS_PLAYBACK_END") == 1, 20.0, "the message's end")
        started = children(server.process.pid)
        assert started[MICROPHONE] == microphone
        await end(server, how)
        for pid in started.values():
            await gone(pid)
        await server._error_reader
        assert LATE not in server.errors
    assert "RECORDING_START" not in hearing.kinds
    nothing_is_held(hearing.root)


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
async def test_a_microphone_process_that_hangs_does_not_outlive_its_server(hearing: Hearing, how: str) -> None:
    async with hearing.server() as server:
        microphone = await hears(server)
        os.kill(microphone, signal.SIGSTOP)
        await end(server, how)
        await gone(microphone)
        await server._error_reader
        assert LATE not in server.errors
    assert hearing.kinds.count("RECORDING_START") == hearing.kinds.count("RECORDING_END") == 1
    nothing_is_held(hearing.root)


async def test_a_server_that_is_killed_while_it_listens_leaves_a_free_floor_and_no_process(hearing: Hearing) -> None:
    async with hearing.server() as server:
        await hears(server)
        started = children(server.process.pid)
        await eventually_async(lambda: recorded_bytes(hearing.root) > 4000, 20.0, "a recording")
        (speaking,) = hearing.root.glob("run/floor/*/speaking")
        assert not is_free(speaking), "whoever listens has the floor"
        server.process.kill()
        await server.exit_code()
        assert is_free(speaking), "the kernel's lock goes with its process"
        for pid in started.values():
            await gone(pid)
    (spoken,) = exchanges(hearing.root)
    assert spoken["metadata"]["status"] == "completed"
    (recording,) = hearing.root.glob("audio/*/*_stt.wav")
    with wave.open(str(recording), "rb") as file:
        assert file.getnframes() > 0, "what was recorded before can be heard"
    async with hearing.server() as another:
        await another.initialize()
        result = (await another.answer(another.begin_speaking("I am next.")))["result"]["structuredContent"]
        assert result["status"] == "completed"
        another.close_input()
        assert await another.exit_code() == 0
    nothing_is_held(hearing.root)


async def test_a_killed_microphone_process_costs_what_was_said_meanwhile_and_the_user_is_answered(
    hearing: Hearing,
) -> None:
    async with hearing.server() as server:
        await server.initialize()
        call = server.begin_conversing("Which port?")
        await server.told("listening: you are heard")
        microphone = await child(server.process.pid, MICROPHONE)
        os.kill(microphone, signal.SIGKILL)
        result = (await server.answer(call))["result"]["structuredContent"]
        assert (result["status"], result["response"]) == ("answered", "Change the port to eight thousand")
        assert await child(server.process.pid, MICROPHONE) != microphone
    assert hearing.kinds.count("RECORDING_START") == hearing.kinds.count("RECORDING_END") == 1


async def test_a_microphone_that_is_gone_for_good_costs_what_was_not_said_yet(hearing: Hearing) -> None:
    hearing.endpoint.always_hear(f"{WORDS}. Wait a minute.")
    async with hearing.server(VOICEMODE_DEVICE_WAIT_S="0") as server:
        await server.initialize()
        call = server.begin_conversing("Which port?")
        await server.told(HEARD)
        await asyncio.to_thread(hearing.endpoint.wait_for_transcriptions, 1, 20.0)
        hearing.file.unlink()
        os.kill(await child(server.process.pid, MICROPHONE), signal.SIGKILL)
        result = (await server.answer(call))["result"]["structuredContent"]
    assert (result["status"], result["response"]) == ("answered", f"{WORDS}. Wait a minute.")
    assert "microphone is gone" in result["note"]


async def test_a_killed_audio_process_does_not_disturb_whoever_listens(hearing: Hearing) -> None:
    async with hearing.server() as server:
        await server.initialize()
        call = server.begin_conversing("Which port?")
        await server.told("listening: you are heard")
        os.kill(await child(server.process.pid, AUDIO), signal.SIGKILL)
        result = (await server.answer(call))["result"]["structuredContent"]
        assert result["status"] == "answered"
        again = (await server.answer(server.begin_speaking("Done.")))["result"]["structuredContent"]
        assert again["status"] == "completed"


async def test_the_user_is_not_listened_to_any_longer_than_the_host_wants_while_others_wait(
    hearing: Hearing, tmp_path: Path
) -> None:
    write_wav(hearing.file, silence(1.0) + said() * 20)
    async with hearing.server() as talking, hearing.server() as waiting:
        await hears(talking)
        await waiting.initialize()
        call = waiting.begin_speaking("After you.")
        await waiting.told("waiting for 1 other to finish")
        talking.process.kill()
        result = (await waiting.answer(call))["result"]["structuredContent"]
        assert result["status"] == "completed"


def _has_opened(hearing: Hearing, times: int) -> bool:
    return hearing.kinds.count("RECORDING_START") == times


async def test_a_call_that_is_cancelled_while_it_speaks_and_listens_leaves_the_microphone_to_the_next(
    hearing: Hearing,
) -> None:
    async with hearing.server(VOICEMODE_BARGE_IN="headphones") as server:
        await server.initialize()
        for number in range(1, 4):
            call = server.begin_conversing("This message goes on for a good while. " * 20)
            opened = partial(_has_opened, hearing, number)
            await eventually_async(opened, 20.0, "an open microphone")
            server.notify("notifications/cancelled", {"requestId": call})
        result = (await server.answer(server.begin_conversing("And now?")))["result"]["structuredContent"]
    assert result["response"] == WORDS
    assert "note" not in result
