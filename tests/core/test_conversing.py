"""A message and its answer where what listening takes is late, and a chime where the end comes first."""

from __future__ import annotations

import asyncio
import threading
from array import array
from pathlib import Path

import pytest

from tests.server.hearing_server import write_wav
from tests.support.house import make_house
from tests.support.spoken import silence
from tests.support.waiting import eventually_async
from voice_mcp.core.barge_in import BargeIn
from voice_mcp.core.chimes import Chime
from voice_mcp.core.cues import Cues
from voice_mcp.core.dialogue import Dialogue
from voice_mcp.core.floor import Admission, Hold
from voice_mcp.core.listening import Ears
from voice_mcp.core.pauses import Eagerness, Pauses
from voice_mcp.core.relay import Relay
from voice_mcp.core.speech import Speech
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.protocols import ProgressListener
from voice_mcp.types import LISTENING_FORMAT, Urgency

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
LONG = "This message has many words and goes on for a good while, so that there is time enough to interrupt it. " * 2
BURST = array("h", [8_000, -8_000] * LISTENING_FORMAT.frames_in(0.125)).tobytes()
"""For as long as a voice takes to be noticed, and not as long as a word."""


class Loudness:
    """A ``VoiceDetector`` that takes for speech whatever is loud."""

    format = LISTENING_FORMAT
    window_frames = 512

    def __init__(self) -> None:
        self._frames = bytearray()

    def add(self, frames: bytes) -> list[float]:
        self._frames += frames
        probabilities, size = [], 2 * self.window_frames
        while len(self._frames) >= size:
            probabilities.append(float(max(array("h", bytes(self._frames[:size]))) > 1_000))
            del self._frames[:size]
        return probabilities

    def reset(self) -> None:
        self._frames.clear()


async def test_a_noise_does_not_keep_the_agent_silent_until_what_listening_takes_is_loaded(tmp_path: Path) -> None:
    file, events, is_loaded = tmp_path / "user.wav", EventRecorder(), threading.Event()
    write_wav(file, silence(0.5) + BURST + silence(60.0))
    house = make_house(tmp_path, events=events, audio_output="null", audio_input="file", input_device=str(file))

    def make_ears() -> Ears:
        is_loaded.wait(WAIT_S)
        return Ears(Loudness(), house.transcriber, Cues(), Pauses(0.8, Eagerness.BALANCED))

    async def say_again(message: str, progress: ProgressListener, hold: Hold) -> Speech:
        raise AssertionError("nobody asked for it")

    dialogue = Dialogue(
        house.speaker,
        house.archive,
        house.microphone,
        house.transcriber,
        make_ears,
        lambda: BargeIn(Loudness()),
        house.dialogue.signals,
    )
    session, relay = house.session, Relay()
    whose = session.conversation_id, house.clock.now()
    question = Admission(Urgency.NOW, is_question=True)
    speech = await session.begin(LONG, session.manner(None, None, None), *whose, relay.update, question)
    wishes = session.wishes(None, None)
    conversing = dialogue.start(whose[0], wishes, relay, message=LONG, speech=speech, say=say_again)
    try:
        await eventually_async(lambda: events.of(EventType.TTS_WENT_ON), WAIT_S, "the end of the false alarm")
        assert not is_loaded.is_set()
    finally:
        is_loaded.set()
        conversing.stop()
        async with asyncio.timeout(WAIT_S):
            await conversing.ended()
        await house.aclose()
    assert [event.data.get("resumed") for event in events.of(EventType.BARGE_IN)] == [None, True]


async def test_at_the_end_every_chime_ends(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null")
    signals = house.dialogue.signals
    signals.play_beside(Chime.DONE)
    signals.play_beside(Chime.FAILED)
    async with asyncio.timeout(WAIT_S):
        await signals.aclose()
    left = [task for task in asyncio.all_tasks() if task.get_name() == "chime"]
    await house.aclose()
    assert left == []
