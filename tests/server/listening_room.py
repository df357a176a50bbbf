"""A room in which somebody listens: a card with a microphone, and a server that turns speech into words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.support.endpoint import SpeechEndpoint
from tests.support.fixtures import require_pulse
from tests.support.house import make_house
from tests.support.microphone import VirtualMicrophone
from tests.support.pulse import PulseCard
from tests.support.waiting import eventually_async
from voice_mcp.app import App
from voice_mcp.core.listening import UNDERSTANDS
from voice_mcp.events import EventRecorder, EventType

WAIT_S = 40.0
ROOM_NOISE = 12
"""Of 32767: a quiet room, not a dead microphone."""


@dataclass
class Room:
    """A card with a microphone, and a server that turns speech into words."""

    card: PulseCard
    microphone: VirtualMicrophone
    endpoint: SpeechEndpoint
    folder: Path
    events: EventRecorder

    def house(self, **given: Any) -> App:
        """A house in this room."""
        values: dict[str, Any] = {
            "audio_output": "sounddevice",
            "audio_input": "sounddevice",
            "stt_base_urls": (self.endpoint.base_url,),
            "silence_threshold_ms": 800,
            "no_speech_timeout_s": 3,
            **given,
        }
        return make_house(self.folder, events=self.events, **values)

    @property
    def heard(self) -> list[bytes]:
        """The sound of every transcription so far."""
        return [exchange.upload.frames for exchange in self.endpoint.transcriptions]

    def seen(self, kind: EventType) -> int:
        """How many events of a kind there were."""
        return len(self.events.of(kind))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A room where nobody has spoken yet."""
    require_pulse()
    with PulseCard() as card, SpeechEndpoint(hears="Change the port to eight thousand") as endpoint:
        for name, value in card.env.items():
            monkeypatch.setenv(name, value)
        yield Room(card, card.microphone(16_000, noise=ROOM_NOISE), endpoint, tmp_path, EventRecorder())


class Prompted:
    """Speaks into the microphone when the call says that it listens.

    Args:
        says: What, each time.
        on_understanding: What is said when the first turn is over and its words are looked for.
    """

    def __init__(self, *says: Callable[[], object], on_understanding: Callable[[], object] | None = None) -> None:
        self._says = list(says)
        self._on_understanding = on_understanding
        self.told: list[str] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append(message or "")
        if message == "listening" and self._says:
            self._says.pop(0)()
        if message == UNDERSTANDS and self._on_understanding is not None:
            say, self._on_understanding = self._on_understanding, None
            say()


async def converse(client: Client, prompted: Prompted | None = None, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(WAIT_S):
        result = await client.call_tool("converse", arguments, progress_callback=prompted)
    assert not result.is_error, result
    structured: dict[str, Any] = result.structured_content
    return structured


async def said_when(room: Room, pcm: bytes, *kinds: EventType) -> None:
    """Speak as soon as all that has happened, whichever call waits then."""
    for kind in kinds:
        await until(room, kind)
    room.microphone.say(pcm)


async def until(room: Room, kind: EventType) -> None:
    await eventually_async(lambda: room.seen(kind) > 0, WAIT_S, kind.value)


def saying(room: Room, pcm: bytes) -> Callable[[], object]:
    return lambda: room.microphone.say(pcm)
