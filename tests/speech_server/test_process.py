"""`voice-mcp speech-server` as a process."""

from __future__ import annotations

import http.client
import json
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.command import Running, voice_mcp
from tests.speech_server.service import LONG, LONGEST_S, SPEECH
from tests.support.ports import refusing_port
from tests.support.waiting import eventually

SECRET = "Nobody else may read this."


def address(server: Running) -> http.client.HTTPConnection:
    """A connection to a server, as soon as it says where it is."""

    def told() -> re.Match[str] | None:
        assert server.process.poll() is None, server.errors
        return re.search(r"http://127\.0\.0\.1:(\d+)/v1", server.errors)

    match = eventually(told, LONGEST_S, "the line that says where it is")
    assert match is not None
    return http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=LONGEST_S)


def order(connection: http.client.HTTPConnection, text: str) -> http.client.HTTPResponse:
    body = json.dumps({"input": text, "response_format": "pcm"})
    connection.request("POST", SPEECH, body, {"Content-Type": "application/json"})
    return connection.getresponse()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_on_a_signal_whatever_is_running(tmp_path: Path, number: int) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "espeak", "VOICEMODE_DEBUG": "true"}
    with Running(tmp_path / "data", "speech-server", "--port", "0", **settings) as server:
        connection, busy = address(server), address(server)
        whole = order(connection, SECRET)
        assert any(whole.read())
        broken = order(busy, LONG)
        assert broken.read(1)
        server.process.send_signal(number)
        assert server.exit_code() == 0
        with pytest.raises(http.client.IncompleteRead):
            broken.read()
        connection.close()
        busy.close()
    assert server.output == ""
    assert "Traceback" not in server.errors
    assert SECRET not in server.errors
    assert LONG[:40] not in server.errors


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with refusing_port() as port:
        done = voice_mcp(tmp_path / "data", "speech-server", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 is in use." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_open_door_without_a_token_is_a_clear_error(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "speech-server", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "VOICEMODE_SPEECH_SERVER_TOKEN" in done.stderr


def test_help_names_it(tmp_path: Path) -> None:
    assert " speech-server " in voice_mcp(tmp_path / "data", "--help").stdout
    told = voice_mcp(tmp_path / "data", "speech-server", "--help").stdout
    assert [option for option in ("--host", "--port", "--concurrency", "--queue") if option not in told] == []


def test_the_engine_that_is_set_is_the_default_and_a_token_is_asked_for(tmp_path: Path) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "tone", "VOICEMODE_SPEECH_SERVER_TOKEN": "a-long-random-text"}
    with Running(tmp_path / "data", "speech-server", "--port", "0", **settings) as server:
        connection = address(server)
        connection.request("GET", "/health")
        refused = connection.getresponse()
        assert refused.status == 401
        refused.read()
        connection.request("GET", "/health", headers={"Authorization": "Bearer a-long-random-text"})
        assert json.load(connection.getresponse())["engine"] == "tone"
        connection.close()
