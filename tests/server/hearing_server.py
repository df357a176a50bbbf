"""A server process that listens to a WAV file, with a transcription server on this machine: no sound card is needed."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events
from tests.support.processes import MICROPHONE, child
from tests.support.spoken import said, silence
from tests.support.stdio import StdioServer
from voice_mcp.types import LISTENING_FORMAT

WORDS = "Change the port to eight thousand"
HEARD = "listening: you are heard"
LATE = "it came after the end"
"""What the journal says of whatever reaches it when it is closed."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """Where a server keeps its records, what it hears, and who makes words of it."""

    root: Path
    file: Path
    endpoint: SpeechEndpoint

    def server(self, **env: str | None) -> StdioServer:
        """A server that hears the file."""
        given = {
            "VOICEMODE_AUDIO_INPUT": "file",
            "VOICEMODE_INPUT_DEVICE": str(self.file),
            "VOICEMODE_STT_BASE_URLS": self.endpoint.base_url,
            "VOICEMODE_SILENCE_THRESHOLD_MS": "800",
            "VOICEMODE_SAVE_AUDIO": "true",
            **env,
        }
        return StdioServer(self.root, given)

    @property
    def kinds(self) -> list[str]:
        """The kinds of all events on record."""
        return [event["event_type"] for event in logged_events(self.root)]


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Hearing]:
    """A user who says one sentence, and then nothing."""
    file = tmp_path / "user.wav"
    write_wav(file, silence(1.0) + said() + silence(0.5))
    with SpeechEndpoint(hears=WORDS) as endpoint:
        yield Hearing(tmp_path / "root", file, endpoint)


def write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(LISTENING_FORMAT.channels)
        file.setsampwidth(2)
        file.setframerate(LISTENING_FORMAT.rate_hz)
        file.writeframes(pcm)


async def hears(server: StdioServer) -> int:
    """Let a server listen until it hears somebody; the process of its microphone."""
    await server.initialize()
    server.begin_conversing("Which port?")
    await server.told(HEARD)
    return await child(server.process.pid, MICROPHONE)


def nothing_is_held(root: Path) -> None:
    """No lock, no place in a row, no seat, no door is left of a server that could say goodbye."""
    run = root / "run"
    assert [path.name for path in run.rglob("*") if path.suffix in {".turn", ".here", ".sock", ".door", ".new"}] == []
    for speaking in run.glob("floor/*/speaking"):
        assert is_free(speaking)
        assert not speaking.read_bytes().startswith(b"1"), "the floor was left by somebody who died"


def is_free(path: Path) -> bool:
    """Whether nobody has a file locked."""
    from filelock import lock_descriptor

    fd = os.open(path, os.O_RDWR)
    try:
        return lock_descriptor(fd, blocking=False)
    finally:
        os.close(fd)
