"""Keys are planted in every setting that holds one, the product is used, and everything it let out is searched."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Running, voice_mcp
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in
from tests.support.stdio import StdioServer
from tests.support.waiting import eventually
from voice_mcp.settings import Settings, setting_names

pytestmark = pytest.mark.anyio

NAMES = {
    setting_names(key, field)[0]: "Planted-" + key.replace("_", "-").title() + "-4f9Zq7"
    for key, field in Settings.model_fields.items()
    if "SecretStr" in repr(field.annotation)
}
"""Every setting that holds keys, and what is planted there."""
COMMANDS = (
    *(("doctor",), ("doctor", "--json"), ("settings",), ("settings", "--json"), ("voices",), ("devices",)),
    *(("log", "-n", "1000"), ("log", "--json"), ("stats",), ("privacy",), ("privacy", "--json")),
    *(("conversations", "list"), ("speak", "Good morning."), ("forget", "--all", "--dry-run")),
)


class Net:
    """Everything that came out of the product."""

    def __init__(self) -> None:
        self._caught: list[tuple[str, bytes]] = []

    def catch(self, where: str, what: str | bytes) -> None:
        self._caught.append((where, what.encode() if isinstance(what, str) else what))

    def holes(self) -> list[str]:
        """Where a key came through, or a good part of one."""
        return [
            f"{name} in {where}"
            for where, what in self._caught
            for name, key in NAMES.items()
            if key.encode() in what or key[8:].encode() in what or key[:-3].encode() in what
        ]

    def __len__(self) -> int:
        return sum(len(what) for _, what in self._caught)


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def endpoint() -> Iterator[SpeechEndpoint]:
    """It quotes the key it was sent, fails in other ways, and speaks at last."""
    key = NAMES["VOICEMODE_TTS_API_KEYS"]
    with SpeechEndpoint(api_key=None) as endpoint:
        endpoint.then(
            Behaviour.refusing(401, f"Incorrect API key provided: {key}."),
            Behaviour.redirecting(f"http://127.0.0.1:9/?key={key}"),
            Behaviour(cut_after_bytes=4_000),
            Behaviour(cut_after_bytes=4_000),
        )
        yield endpoint


def planted(endpoint: SpeechEndpoint) -> dict[str, str]:
    """The settings: every key there is, and addresses that take them."""
    return {
        **NAMES,
        "VOICEMODE_TTS_ENGINE": "auto",
        "VOICEMODE_TTS_BASE_URLS": f"{endpoint.base_url},https://127.0.0.1:9/v1",
        "VOICEMODE_STT_BASE_URLS": endpoint.base_url,
        "VOICEMODE_AUDIO_OUTPUT": "null",
        "VOICEMODE_DEBUG": "true",
    }


def test_something_is_planted_wherever_a_key_can_be() -> None:
    assert {
        "VOICEMODE_TTS_API_KEYS",
        "VOICEMODE_STT_API_KEYS",
        "OPENAI_API_KEY",
        "VOICEMODE_SPEECH_SERVER_TOKEN",
    } <= set(NAMES)
    named = {name for key, field in Settings.model_fields.items() for name in setting_names(key, field)}
    alike = {name for name in named if name.endswith(("_KEY", "_KEYS", "_TOKEN", "_SECRET", "_PASSWORD"))}
    assert alike - {"VOICEMODE_ALLOW_INSECURE_KEYS"} == set(NAMES)


async def test_a_server_that_is_used_lets_no_key_out(tmp_path: Path, endpoint: SpeechEndpoint, net: Net) -> None:
    async with StdioServer(tmp_path / "root", planted(endpoint)) as server:
        await server.initialize()
        await server.ask("tools/list")
        for number in range(4):
            await server.ask("tools/call", {"name": "speak", "arguments": {"message": f"This is number {number}."}})
        for uri in ("status", "voices", "privacy"):
            await server.ask("resources/read", {"uri": f"voice://{uri}"})
        for process in (server.process.pid, await server.audio_process()):
            arguments = Path(f"/proc/{process}/cmdline")
            if arguments.exists():
                net.catch("the arguments of a process", arguments.read_bytes())
        server.close_input()
        await server.exit_code()
        net.catch("standard output", json.dumps(server.lines))
    net.catch("standard error", server.errors)
    net.catch("the data folder", everything_in(tmp_path / "root"))
    assert server.errors
    assert {exchange.authorization for exchange in endpoint.speech} == {f"Bearer {NAMES['VOICEMODE_TTS_API_KEYS']}"}
    assert len(net) > 10_000
    assert net.holes() == []


async def test_no_command_lets_a_key_out(tmp_path: Path, endpoint: SpeechEndpoint, net: Net) -> None:
    base = tmp_path / "root"
    for command in COMMANDS:
        done = await asyncio.to_thread(voice_mcp, base, *command, **planted(endpoint))
        net.catch(f"what `{' '.join(command)}` printed", done.stdout + done.stderr)
    net.catch("the data folder", everything_in(base))
    assert net.holes() == []


async def test_a_bad_setting_beside_a_key_lets_it_not_out(tmp_path: Path, endpoint: SpeechEndpoint, net: Net) -> None:
    bad = (
        {"VOICEMODE_TTS_SPEED": "9"},
        {"VOICEMODE_TTS_BASE_URLS": "http://192.0.2.1/v1"},
        {"VOICEMODE_TTS_KEYS": "x"},
    )
    for settings in bad:
        done = await asyncio.to_thread(voice_mcp, tmp_path / "root", "speak", "x", **{**planted(endpoint), **settings})
        net.catch(str(settings), done.stdout + done.stderr)
    assert net.holes() == []


def test_the_speech_service_lets_no_key_out(tmp_path: Path, endpoint: SpeechEndpoint, net: Net) -> None:
    base = tmp_path / "root"
    with Running(base, "speech-server", "--port", "0", **planted(endpoint)) as service:
        told = eventually(lambda: service.errors if "served at" in service.errors else "", 30, "the service")
        url = told.partition("served at ")[2].split()[0].strip(".")
        for token in (NAMES["VOICEMODE_SPEECH_SERVER_TOKEN"], "wrong", NAMES["OPENAI_API_KEY"]):
            request = urllib.request.Request(
                f"{url}/audio/speech",
                json.dumps({"model": "tts-1", "input": "Hello.", "voice": "alloy"}).encode(),
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    net.catch("an answer", repr(answer.headers.items()) + str(answer.status))
            except urllib.error.HTTPError as exc:
                net.catch("a refusal", repr(exc.headers.items()).encode() + exc.read())
        net.catch("its arguments", repr(service.process.args))
        service.process.terminate()
        service.exit_code()
        net.catch("what it printed", service.output + service.errors)
    net.catch("the data folder", everything_in(base))
    assert net.holes() == []


async def test_a_key_goes_in_the_open_only_where_that_is_allowed(tmp_path: Path, endpoint: SpeechEndpoint) -> None:
    """The way over a proxy stands for another machine."""
    settings = {
        **planted(endpoint),
        "VOICEMODE_TTS_ENGINE": "openai",
        "VOICEMODE_TTS_BASE_URLS": "http://voices.example/v1",
        "HTTP_PROXY": endpoint.base_url.removesuffix("/v1"),
    }
    for allowed in ("false", "true"):
        done = await asyncio.to_thread(
            voice_mcp, tmp_path / "root", "speak", "Hi.", VOICEMODE_ALLOW_INSECURE_KEYS=allowed, **settings
        )
        assert ("everybody on the way could read it" in done.stderr) is (allowed == "false")
        assert bool(endpoint.speech) is (allowed == "true")
    assert {exchange.authorization for exchange in endpoint.speech} == {f"Bearer {NAMES['VOICEMODE_TTS_API_KEYS']}"}


def test_a_key_that_got_out_would_be_found(net: Net) -> None:
    key = NAMES["OPENAI_API_KEY"]
    for leak in (f"Bearer {key}", key[8:], json.dumps({"key": key})):
        net.catch("somewhere", leak)
    assert net.holes() == ["OPENAI_API_KEY in somewhere"] * 3
