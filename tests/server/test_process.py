"""The server as a process: how it begins, what reaches its output, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.support.house import everything_in, exchanges, logged_events
from tests.support.stdio import StdioServer, gone

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc of POSIX systems"),
]

LONG = "This sentence is one of many and takes its time. " * 40


async def test_a_host_that_goes_away_mid_speech_leaves_no_process_and_a_whole_record(tmp_path: Path) -> None:
    async with StdioServer(tmp_path, {"VOICEMODE_SAVE_AUDIO": "true"}) as server:
        await server.initialize()
        server.begin_speaking(LONG)
        await server.speaking()
        audio_process = await server.audio_process()
        server.close_input()
        assert await server.exit_code() == 0
        await gone(audio_process)
    (line,) = exchanges(tmp_path)
    assert line["metadata"]["status"] == "interrupted"
    assert " ".join((line["metadata"]["heard"], line["metadata"]["unheard"])).strip() == LONG.strip()
    assert (tmp_path / line["audio_file"]).stat().st_size > 1000


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
async def test_a_signal_mid_speech_ends_it_with_input_still_open(tmp_path: Path, name: str) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        server.begin_speaking(LONG)
        await server.speaking()
        audio_process = await server.audio_process()
        server.process.send_signal(getattr(signal, name))
        assert await server.exit_code() == 128 + getattr(signal, name)
        await gone(audio_process)
    (line,) = exchanges(tmp_path)
    assert line["metadata"]["status"] == "interrupted"
    events = [event["event_type"] for event in logged_events(tmp_path)]
    assert events.count("TTS_START") == events.count("TTS_PLAYBACK_END") == 1


async def test_a_server_that_is_killed_takes_its_audio_process_with_it(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        server.begin_speaking(LONG)
        await server.speaking()
        audio_process = await server.audio_process()
        server.process.kill()
        await server.exit_code()
        await gone(audio_process)


async def test_an_audio_process_that_is_killed_costs_no_word(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        call = server.begin_speaking("This sentence takes long enough to be cut off in its middle.")
        await server.speaking()
        killed = await server.audio_process()
        os.kill(killed, signal.SIGKILL)
        said = (await server.answer(call))["result"]["structuredContent"]
        assert said["status"] == "completed"
        assert await server.audio_process() != killed
    (line,) = exchanges(tmp_path)
    assert line["duration_ms"] == pytest.approx(said["duration_s"] * 1000, abs=1)


async def test_without_a_wait_an_audio_process_that_is_killed_is_reported_and_replaced(tmp_path: Path) -> None:
    async with StdioServer(tmp_path, {"VOICEMODE_DEVICE_WAIT_S": "0"}) as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        os.kill(await server.audio_process(), signal.SIGKILL)
        cut = (await server.answer(call))["result"]
        assert cut["isError"]
        assert cut["structuredContent"]["unheard"]
        again = (await server.answer(server.begin_speaking("Hi.")))["result"]
        assert again["structuredContent"]["status"] == "completed"


async def test_a_cancelled_call_is_never_answered_and_the_server_goes_on(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        call = server.begin_speaking(LONG)
        await server.speaking()
        server.notify("notifications/cancelled", {"requestId": call})
        again = (await server.answer(server.begin_speaking("Hi.")))["result"]
        assert again["structuredContent"]["status"] == "completed"
        assert not [line for line in server.lines if line.get("id") == call]


async def test_nothing_but_mcp_reaches_the_output_whatever_a_library_prints(tmp_path: Path) -> None:
    chatter = (
        "import sys, os, runpy, threading\n"
        "class Chatter:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('openai', 'markdown_it', 'sentencex')):\n"
        "            print('library chatter', name, flush=True)\n"
        "            os.write(1, b'native chatter\\n')\n"
        "sys.meta_path.insert(0, Chatter())\n"
        "runpy.run_module('voice_mcp', run_name='__main__', alter_sys=True)\n"
    )
    async with StdioServer(tmp_path, {"VOICEMODE_DEBUG": "true"}, ("-c", chatter)) as server:
        await server.initialize()
        await server.ask("tools/list")
        await server.answer(server.begin_speaking("Hi."))
        assert "library chatter" in server.errors
    assert all(line["jsonrpc"] == "2.0" for line in server.lines)


async def test_broken_input_is_answered_or_ignored_and_the_server_goes_on(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        for garbage in (b"not json\n", b"\xff\xfe\x00binary\n", b"[1, 2]\n", b"{}\n", b"\n", b'{"jsonrpc": "2.0"}\n'):
            server.write(garbage)
        unknown = await server.ask("no/such/method")
        assert unknown["error"]["code"] == -32601
        answer = (await server.answer(server.begin_speaking("Hi.")))["result"]
        assert answer["structuredContent"]["status"] == "completed"


async def test_half_a_character_in_the_message_does_not_cost_the_rest(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        call = server.begin_speaking("Half \ud83d of a character.")
        answer = await server.answer(call)
        assert answer["result"]["structuredContent"]["status"] == "completed"


@pytest.mark.skipif(sys.platform != "linux", reason="takes the sound system away the way Linux finds it")
async def test_without_any_sound_device_the_speech_is_saved_and_the_note_says_so(tmp_path: Path) -> None:
    no_sound = {
        "VOICEMODE_AUDIO_OUTPUT": "auto",
        "ALSA_CONFIG_PATH": os.devnull,
        "PULSE_SERVER": f"unix:{tmp_path}/nowhere",
        "JACK_NO_START_SERVER": "1",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    async with StdioServer(tmp_path / "root", no_sound) as server:
        await server.initialize()
        said = (await server.answer(server.begin_speaking("Nobody can hear this.")))["result"]["structuredContent"]
    assert said["status"] == "saved"
    assert "saved to a file" in said["note"]
    assert said["duration_s"] > 0.5
    assert len(everything_in(Path(said["audio_path"]).parent)) > 10_000


async def test_half_a_line_and_then_the_end_is_a_clean_end(tmp_path: Path) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        server.write(b'{"jsonrpc": "2.0", "id": 9, "meth')
        server.close_input()
        assert await server.exit_code() == 0


async def test_a_bad_setting_ends_it_with_one_sentence_on_stderr(tmp_path: Path) -> None:
    async with StdioServer(tmp_path, {"VOICEMODE_TTS_SPEED": "warp"}) as server:
        assert await server.exit_code() == 1
        assert server.process.stdout is not None
        assert await server.process.stdout.read() == b""
        await server._error_reader
        assert server.errors.startswith("voice-mcp: VOICEMODE_TTS_SPEED is 'warp', but it must be a number")
        assert "Traceback" not in server.errors


async def test_a_misspelt_setting_is_reported_with_the_nearest_name(tmp_path: Path) -> None:
    async with StdioServer(tmp_path, {"VOICEMODE_TTS_SPED": "2"}) as server:
        await server.initialize()
        server.close_input()
        await server.exit_code()
        assert "did you mean VOICEMODE_TTS_SPEED?" in server.errors


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_sdks_own_client_speaks_with_it_over_stdio(tmp_path: Path, mode: str) -> None:
    env = {"VOICEMODE_BASE_DIR": str(tmp_path), "VOICEMODE_TTS_ENGINE": "espeak", "VOICEMODE_AUDIO_OUTPUT": "file"}
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "voice_mcp"], env=env)
    async with Client(stdio_client(parameters), mode=mode) as client:
        result = await client.call_tool("speak", {"message": "Hello from a real client."})
    assert result.structured_content is not None
    assert result.structured_content["status"] == "saved"
    assert result.structured_content["engine"] == "espeak"


async def test_a_planted_key_is_found_in_nothing_the_server_wrote(tmp_path: Path) -> None:
    key = "sk-zebra-0123456789abcdef"
    env = {
        "OPENAI_API_KEY": key,
        "VOICEMODE_TTS_API_KEYS": f"{key}-first",
        "VOICEMODE_TTS_BASE_URLS": "http://127.0.0.1:9/v1",
        "VOICEMODE_TTS_ENGINE": "auto",
        "VOICEMODE_DEBUG": "true",
    }
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        await server.answer(server.begin_speaking("Hi."))
        await server.ask("resources/read", {"uri": "voice://status"})
        server.close_input()
        await server.exit_code()
        await server._error_reader
        said = json.dumps(server.lines) + server.errors
    assert "zebra" not in said
    assert b"zebra" not in everything_in(tmp_path)
