"""Several servers at once, and the commands that keys are bound to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp
from tests.support.house import exchanges
from tests.support.stdio import StdioServer
from tests.support.waiting import eventually_async
from voice_mcp.core.remote_control import HUSHED, SKIPPED, STOPPED

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix"),
]

LONG = "This sentence is one of many and takes its time. " * 40
WAIT_S = 20.0


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Any]:
    """Starts servers with a door in the same data folder, each with a device, and so a room, of its own."""
    async with AsyncExitStack() as servers:
        rooms = count(1)

        async def start_one() -> StdioServer:
            own_room = {"VOICEMODE_OUTPUT_DEVICE": f"1.{next(rooms):05}x"}
            server = await servers.enter_async_context(StdioServer(tmp_path, own_room))
            await server.initialize()
            await server.ask("tools/list")
            await eventually_async(lambda: door(tmp_path, server).exists(), WAIT_S, "the door")
            return server

        yield start_one


def door(base_dir: Path, server: StdioServer) -> Path:
    return base_dir / "run" / f"{server.process.pid}.sock"


async def command(base_dir: Path, *arguments: str) -> tuple[int, str]:
    """Run a command; its exit code, and what it said."""
    done = await asyncio.to_thread(voice_mcp, base_dir, *arguments)
    return done.returncode, done.stdout + done.stderr


async def status(base_dir: Path) -> dict[int, dict[str, Any]]:
    """What is told of each process."""
    _, said = await command(base_dir, "status", "--json")
    return {process["process"]: process for process in json.loads(said)["processes"]}


async def result_of(server: StdioServer, call: int) -> dict[str, Any]:
    """Of a call; answers come in any order."""
    seen = [line for line in server.lines if line.get("id") == call]
    answer = seen[0] if seen else await server.answer(call)
    structured: dict[str, Any] = answer["result"]["structuredContent"]
    return structured


async def test_hush_silences_every_process_and_what_waits_in_it(start: Any, tmp_path: Path) -> None:
    servers = [await start() for _ in range(3)]
    calls = [(server, server.begin_speaking(LONG)) for server in servers]
    calls += [(server, server.begin_speaking("I come after it.")) for server in servers]
    for server in servers:
        await server.speaking()
    assert await command(tmp_path, "hush") == (0, "Silenced 2 messages.\n" * 3)
    for server, call in calls:
        said = await result_of(server, call)
        assert (said["status"], said["note"]) == ("interrupted", HUSHED)
    assert await command(tmp_path, "hush") == (0, "It was silent already.\n" * 3)


async def test_a_process_that_hangs_keeps_no_other_from_falling_silent(start: Any, tmp_path: Path) -> None:
    hung, healthy = await start(), await start()
    for server in (hung, healthy):
        server.begin_speaking(LONG)
        await server.speaking()
    os.kill(hung.process.pid, signal.SIGSTOP)
    try:
        code, said = await command(tmp_path, "hush")
        assert (code, "Silenced 1 message." in said) == (1, True)
        assert f"Process {hung.process.pid}: It does not answer; it may hang." in said
        told = await status(tmp_path)
        assert told[healthy.process.pid]["speaking"] is None
        assert "does not answer" in told[hung.process.pid]["problem"]
        assert (await command(tmp_path, "control", "repeat"))[0] == 0
    finally:
        os.kill(hung.process.pid, signal.SIGCONT)


async def test_what_a_hung_process_was_told_it_does_when_it_wakes(start: Any, tmp_path: Path) -> None:
    server = await start()
    call = server.begin_speaking(LONG)
    await server.speaking()
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        assert (await command(tmp_path, "hush"))[0] == 1
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert (await result_of(server, call))["status"] == "interrupted"


async def test_the_door_of_a_killed_process_is_cleared_away_by_the_next_command(start: Any, tmp_path: Path) -> None:
    killed, other = await start(), await start()
    killed.process.kill()
    await killed.exit_code()
    assert door(tmp_path, killed).exists()
    assert (await status(tmp_path)).keys() == {other.process.pid}
    assert not door(tmp_path, killed).exists()


@pytest.mark.parametrize("ending", ["input", "SIGTERM", "SIGINT"])
async def test_a_server_that_ends_takes_its_door_with_it(start: Any, tmp_path: Path, ending: str) -> None:
    server = await start()
    if ending == "input":
        server.close_input()
    else:
        server.process.send_signal(getattr(signal, ending))
    await server.exit_code()
    assert list((tmp_path / "run").glob("*.sock")) == []


async def test_a_message_is_paused_and_resumed_and_its_call_is_answered_when_all_of_it_was_heard(
    start: Any, tmp_path: Path
) -> None:
    idle, server = await start(), await start()
    call = server.begin_speaking("This message is long enough to be paused in its middle, and then goes on.")
    await server.speaking()
    assert await command(tmp_path, "control", "pause") == (0, "Paused.\n")
    told = await status(tmp_path)
    assert told[server.process.pid]["speaking"]["paused"] is True
    assert told[idle.process.pid]["speaking"] is None
    assert "is paused" in (await command(tmp_path, "status"))[1]
    assert await command(tmp_path, "control", "resume") == (0, "Resumed.\n")
    said = await result_of(server, call)
    assert (said["status"], "heard" in said) == ("completed", False)
    (line,) = exchanges(tmp_path)
    assert line["duration_ms"] == round(said["duration_s"] * 1000)


@pytest.mark.parametrize(("word", "note"), [("stop", STOPPED), ("skip", SKIPPED)])
async def test_a_command_goes_to_the_process_that_speaks(start: Any, tmp_path: Path, word: str, note: str) -> None:
    servers = [await start() for _ in range(3)]
    call = servers[1].begin_speaking(LONG)
    await servers[1].speaking()
    assert (await command(tmp_path, "control", word))[0] == 0
    said = await result_of(servers[1], call)
    assert (said["status"], said["note"]) == ("interrupted", note)
    assert f"{said['heard']} {said['unheard']}".split() == LONG.split()


async def test_repeat_goes_to_the_process_that_spoke_last(start: Any, tmp_path: Path) -> None:
    first, second = await start(), await start()
    for server, message in ((second, "Earlier words."), (first, "Later words.")):
        await server.answer(server.begin_speaking(message))
    assert await command(tmp_path, "control", "repeat") == (0, "Said again.\n")
    await eventually_async(lambda: len(exchanges(tmp_path)) == 3, WAIT_S)
    assert [line["text"] for line in exchanges(tmp_path)][2] == "Later words."


async def test_a_process_can_be_named_and_all_of_them_can_be_meant(start: Any, tmp_path: Path) -> None:
    first, second = await start(), await start()
    calls = [(server, server.begin_speaking(LONG)) for server in (first, second)]
    for server, _ in calls:
        await server.speaking()
    assert await command(tmp_path, "control", "stop", "--process", str(first.process.pid)) == (0, "Stopped.\n")
    assert (await status(tmp_path))[second.process.pid]["speaking"] is not None
    code, said = await command(tmp_path, "control", "stop", "--all")
    assert (code, sorted(said.splitlines())) == (0, ["Nobody is speaking.", "Stopped."])
    for server, call in calls:
        assert (await result_of(server, call))["status"] == "interrupted"
    code, said = await command(tmp_path, "control", "stop", "--process", "1")
    assert (code, said) == (3, "No voice-mcp server has the number 1; `voice-mcp status` lists them.\n")


async def test_the_status_is_a_table_of_who_does_what_since_when(start: Any, tmp_path: Path) -> None:
    server = await start()
    code, said = await command(tmp_path, "status")
    assert (code, "nothing" in said) == (0, True)
    server.begin_speaking(LONG)
    server.begin_speaking("After it.")
    await server.speaking()
    code, said = await command(tmp_path, "status")
    assert code == 0
    assert str(server.process.pid) in said
    assert ("speaks" in said, "waits (1)" in said) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("hush",), 0, "No voice-mcp server is running, so none speaks.\n"),
        (("control", "pause"), 3, "No voice-mcp server is running; it is started by an MCP host.\n"),
        (("control", "stop", "--all"), 3, "No voice-mcp server is running; it is started by an MCP host.\n"),
        (("status",), 3, "No voice-mcp server is running; it is started by an MCP host.\n"),
        (("status", "--json"), 3, '{\n  "processes": []\n}\n'),
    ],
)
async def test_where_nobody_runs_every_command_says_so(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert await command(tmp_path, *arguments) == (code, sentence)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [("control",), ("control", "hush"), ("control", "louder"), ("hush", "now")])
async def test_a_command_that_makes_no_sense_is_explained(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, said = await command(tmp_path, *arguments)
    assert code == 2
    assert "Usage" in said


async def test_settings_that_cannot_be_used_are_told_in_words(tmp_path: Path) -> None:
    home_file = tmp_path / "home" / ".voicemode" / "voicemode.env"
    home_file.parent.mkdir(parents=True)
    home_file.write_text("VOICEMODE_BASE_DIR=/somewhere\nVOICEMODE_TTS_SPEED=much\n")
    done = await asyncio.to_thread(voice_mcp, tmp_path, "hush", VOICEMODE_BASE_DIR="")
    assert done.returncode == 1
    assert "VOICEMODE_TTS_SPEED" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_process_named_and_all_of_them_cannot_be_meant_at_once(tmp_path: Path) -> None:
    code, _ = await command(tmp_path, "control", "stop", "--all", "--process", "1")
    assert code == 2


async def test_a_key_waits_for_no_library(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['voice-mcp', 'hush']\n"
        "from voice_mcp.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'dataclasses', 'pathlib', 'typer', 'rich', 'pydantic', 'mcp', 'openai', 'numpy'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "VOICEMODE_BASE_DIR": str(tmp_path)},
    )
    async with asyncio.timeout(WAIT_S):
        said, _ = await done.communicate()
    assert said.splitlines()[-1] == b"[]"
