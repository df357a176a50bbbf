"""VOICEMODE_OFFLINE: real attempts to leave this machine, in real processes, and what must go on working."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import voice_mcp, voice_mcp_after
from tests.support.endpoint import SpeechEndpoint
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from voice_mcp.offline import is_this_machine
from voice_mcp.pipe.child import AUDIO_PROCESS, confined

pytestmark = pytest.mark.anyio

TIMEOUT_S = 60.0
ADDRESS, ADDRESS_6 = "192.0.2.1", "2001:db8::1"
"""They lead nowhere: whoever is let through times out or finds no way, and whoever is refused is told so at once."""

BEGINNING = """
import asyncio, socket, ssl, sys
from voice_mcp.offline import LeavesThisMachine, refuse_the_network
refuse_the_network()
refuse_the_network()

def refused(attempt):
    try:
        attempt()
    except LeavesThisMachine:
        return
    sys.exit(f"let through: {attempt}")
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PLAIN = {
    "connect": "socket.socket().connect((host, 443))",
    "connect_ex": "socket.socket().connect_ex((host, 443))",
    "create_connection": "socket.create_connection((host, 443), 1)",
    "getaddrinfo": "socket.getaddrinfo(host, 443)",
    "gethostbyname": "socket.gethostbyname(host)",
    "gethostbyname_ex": "socket.gethostbyname_ex(host)",
    "gethostbyaddr": "socket.gethostbyaddr(host)",
    "getnameinfo": "socket.getnameinfo((host, 80), 0)",
    "sendto": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (host, 53))",
    "sendto with flags": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', 0, (host, 53))",
    "sendmsg": "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, (host, 53))",
    "a raw socket": "__import__('_socket').socket().connect((host, 443))",
    "tls": "ssl.create_default_context().wrap_socket(socket.socket(), server_hostname=host).connect((host, 443))",
    "asyncio": "asyncio.run(asyncio.open_connection(host, 443))",
}


@pytest.mark.parametrize("way", PLAIN)
@pytest.mark.parametrize("host", [ADDRESS, "voice-mcp.invalid"])
def test_no_way_leads_to_another_machine(way: str, host: str) -> None:
    if way == "a raw socket" and host != ADDRESS:
        pytest.skip("it looks the name up before anybody is asked; nothing in Python but socket.socket uses it")
    run(f"host = sys.argv[1]\nrefused(lambda: {PLAIN[way]})", host)


def test_ipv6_leads_there_no_more_than_ipv4() -> None:
    run(
        f"refused(lambda: socket.socket(socket.AF_INET6).connect(({ADDRESS_6!r}, 443)))\n"
        f"refused(lambda: socket.socket(socket.AF_INET6).connect(('::ffff:{ADDRESS}', 443)))\n"
        f"refused(lambda: asyncio.run(asyncio.open_connection({ADDRESS_6!r}, 443)))\n"
    )


def test_nobody_else_is_let_in_either() -> None:
    run("refused(lambda: socket.socket().bind(('0.0.0.0', 0)))\nrefused(lambda: socket.socket().bind(('', 0)))\n")


def test_this_machine_is_reached_as_before(speech_endpoint: SpeechEndpoint, tmp_path: Path) -> None:
    run(
        "port = int(sys.argv[1])\n"
        "for host in ('127.0.0.1', 'localhost'):\n"
        "    socket.create_connection((host, port), 5).close()\n"
        "one, other = socket.socketpair()\n"
        "one.sendmsg([b'x'])\n"
        "assert other.recv(1) == b'x'\n"
        "datagrams = socket.socket(type=socket.SOCK_DGRAM)\n"
        "datagrams.bind(('127.0.0.1', 0))\n"
        "datagrams.sendto(b'y', datagrams.getsockname())\n"
        "assert datagrams.recv(1) == b'y'\n"
        "async def ask():\n"
        "    reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
        "    writer.close()\n"
        "asyncio.run(ask())\n",
        speech_endpoint.base_url.rpartition(":")[2].removesuffix("/v1"),
    )


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets of this kind here")
def test_sockets_in_the_file_system_are_used_as_before(tmp_path: Path) -> None:
    run(
        "import os\n"
        "os.chdir(sys.argv[1])\n"
        "server = socket.socket(socket.AF_UNIX)\n"
        "server.bind('s')\n"
        "server.listen()\n"
        "client = socket.socket(socket.AF_UNIX)\n"
        "client.connect('s')\n",
        str(tmp_path),
    )


def test_the_speech_client_is_refused_in_words() -> None:
    """The SDK over httpx over anyio over asyncio."""
    told = run(
        "from voice_mcp.errors import EngineUnreachable\n"
        "from voice_mcp.openai_client import Endpoint, SpeechClient\n"
        "async def ask(url):\n"
        "    client = SpeechClient(Endpoint(url), stall_s=5)\n"
        "    try:\n"
        "        await client.open({'model': 'm', 'input': 'x', 'voice': 'v'})\n"
        "    except EngineUnreachable as exc:\n"
        "        print(exc.advice)\n"
        "    await client.aclose()\n"
        f"for host in ('{ADDRESS}', 'voice-mcp.invalid'):\n"
        "    asyncio.run(ask(f'http://{host}:8880/v1'))\n"
    )
    assert told.count("VOICEMODE_OFFLINE=true keeps this process on this machine. Set VOICEMODE_OFFLINE=false") == 2


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(
            (each, True)
            for each in ("127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LOCALHOST.", "::ffff:127.0.0.1")
        ),
        *(
            (each, False)
            for each in ("", "0.0.0.0", "::", "192.168.0.1", "localhost.example.com", "127.0.0.1.example.com")
        ),
        *((each, False) for each in ("::ffff:192.0.2.1", "fe80::1%lo", "128.0.0.1", "2130706433", "ip6-localhost")),
    ],
)
def test_this_machine_is_known_for_certain_or_not_at_all(host: str, local: bool) -> None:
    assert is_this_machine(host) is local


# --- the whole product -------------------------------------------------------------------------------------------

STOWAWAY = """
import socket, sys
from voice_mcp.playback import link

class Link(link.AudioLink):
    async def start(self):
        name = lambda: socket.getaddrinfo('voice-mcp.invalid', 80)
        for attempt in (name, lambda: socket.socket().connect(('192.0.2.1', 9))):
            try:
                attempt()
            except OSError as exc:
                print(type(exc).__name__, file=sys.stderr, flush=True)
        await super().start()

link.AudioLink = Link
from voice_mcp.__main__ import main
main()
"""
"""Something in the server process tries to get out, with the first sound."""


async def test_the_server_process_is_closed_and_speaks_all_the_same(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    env = {
        "VOICEMODE_OFFLINE": "true",
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": f"{speech_endpoint.base_url},https://api.openai.com/v1",
        "OPENAI_API_KEY": "planted",
    }
    async with StdioServer(tmp_path, env, ("-c", STOWAWAY)) as server:
        await server.initialize()
        answer = await server.answer(server.begin_speaking("Hello there."))
        assert answer["result"]["structuredContent"]["engine"] == speech_endpoint.host
        status = await server.ask("resources/read", {"uri": "voice://status"})
        engines = json.loads(status["result"]["contents"][0]["text"])["engines"]
        assert [engine["engine"] for engine in engines] == [speech_endpoint.host]
        server.close_input()
        await server.exit_code()
    assert server.errors.count("LeavesThisMachine") == 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at the arguments of a process")
async def test_the_audio_process_is_started_closed(tmp_path: Path) -> None:
    for offline in (True, False):
        async with StdioServer(tmp_path, {"VOICEMODE_OFFLINE": str(offline).lower()}) as server:
            await server.initialize()
            await server.answer(server.begin_speaking("Hello there."))
            arguments = Path(f"/proc/{await server.audio_process()}/cmdline").read_bytes().split(b"\0")
            assert (b"--offline" in arguments) is offline


def test_an_audio_process_that_is_started_closed_is() -> None:
    """Its own code, with a look from inside once it runs."""
    look = (
        "import runpy, socket, sys\n"
        "from voice_mcp.playback import process\n"
        "def run(load):\n"
        "    try:\n"
        "        socket.create_connection(('192.0.2.1', 9), 1)\n"
        "    except OSError as exc:\n"
        "        print(type(exc).__name__)\n"
        "process.run = run\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_module('voice_mcp.audio_process', run_name='__main__')\n"
    )
    arguments = confined(AUDIO_PROCESS, offline=True)[-2:]
    done = subprocess.run(
        [sys.executable, "-c", look, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.stdout == "LeavesThisMachine\n", done.stderr


@pytest.mark.pulse
async def test_sound_reaches_the_card(tmp_path: Path, pulse_card: PulseCard) -> None:
    """PulseAudio is reached over a socket in the file system."""
    env = {**pulse_card.env, "VOICEMODE_OFFLINE": "true", "VOICEMODE_AUDIO_OUTPUT": "sounddevice"}
    async with StdioServer(tmp_path, env) as server:
        await server.initialize()
        answer = await server.answer(server.begin_speaking("Hello there."))
        assert answer["result"]["structuredContent"]["status"] == "completed"


def test_the_doctor_tries_and_is_refused(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "root", "doctor", "--json", VOICEMODE_OFFLINE="true")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["offline"]["state"] == "ok"
    assert "cannot be reached" in checks["offline"]["detail"]
    assert "offline" not in voice_mcp(tmp_path / "root", "doctor").stdout


def test_the_doctor_says_so_where_it_is_let_through(tmp_path: Path) -> None:
    """The wall is taken down first."""
    hole = "import voice_mcp.offline as o; o._check_name = lambda host: None; o._check = lambda family, address: None"
    done = voice_mcp_after(hole, tmp_path / "root", "doctor", "--json", VOICEMODE_OFFLINE="true")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["offline"]["state"] == "broken"
    assert "connecting over IPv4" in checks["offline"]["detail"]


def test_the_speech_service_serves_this_machine_alone(tmp_path: Path) -> None:
    done = voice_mcp(
        tmp_path / "root",
        "speech-server",
        *("--host", "0.0.0.0", "--port", "0"),
        VOICEMODE_OFFLINE="true",
        VOICEMODE_SPEECH_SERVER_TOKEN="long-enough",
    )
    assert done.returncode == 1
    assert "VOICEMODE_OFFLINE=true: 0.0.0.0 could be reached from other machines." in done.stderr


def test_the_environment_of_the_tests_is_open() -> None:
    """Otherwise all of the above would show nothing."""
    assert not hasattr(socket.socket.connect, "guarded")
    assert os.environ.get("VOICEMODE_OFFLINE") is None
