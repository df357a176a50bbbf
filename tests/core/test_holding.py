"""An utterance that is held: one result, and a record of what was really played."""

from __future__ import annotations

import asyncio
import wave
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import exchanges, make_house
from tests.support.pattern import judge
from tests.support.pulse import PulseCard
from voice_mcp.app import App
from voice_mcp.core.script import Script
from voice_mcp.core.speech import Speech, Spoken
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.playback.passage import FADE_IN_S
from voice_mcp.playback.player import STOP_FADE_S
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import PcmFormat, SpeechRequest, SpeechStatus, WordMark

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
MESSAGE = "Every word of this message has a tone of its own."
TONE = PcmFormat(24_000, 1)
FADES = TONE.frames_in(STOP_FADE_S) + TONE.frames_in(FADE_IN_S)


class Place:
    """A ``ProgressListener`` that lets a test wait for what has been heard."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.position_s = 0.0

    def __call__(self, position_s: float, total_s: float | None, text: str) -> None:
        self.position_s = position_s
        self._changed.set()

    async def reaches(self, position_s: float) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.position_s < position_s:
                self._changed.clear()
                await self._changed.wait()


class Held(EventRecorder):
    """Remembers events, and lets a test wait until something has fallen silent."""

    def __init__(self) -> None:
        super().__init__()
        self._silences = asyncio.Queue[None]()

    def __call__(self, event: Any) -> None:
        super().__call__(event)
        if event.event_type is EventType.TTS_HELD:
            self._silences.put_nowait(None)

    async def silence(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self._silences.get()


@asynccontextmanager
async def house(base_dir: Path, **given: Any) -> AsyncIterator[tuple[App, Held]]:
    events = Held()
    app = make_house(base_dir, events=events, **{"audio_output": "null", "save_audio": True, **given})
    try:
        yield app, events
    finally:
        async with asyncio.timeout(WAIT_S):
            await app.aclose()


def begin(app: App, message: str = MESSAGE) -> tuple[Speech, Place]:
    place = Place()
    session = app.session
    manner = session.manner(None, None, None)
    arrived_s = app.clock.now()
    return app.speaker.start(Script.of(message), manner, session.conversation_id, arrived_s, place), place


async def end_of(speech: Speech) -> Spoken:
    async with asyncio.timeout(WAIT_S):
        return await speech.result()


async def rendition(text: str) -> tuple[array[int], list[WordMark]]:
    """What the tone engine says for a text, and where its words begin."""
    stream = await ToneEngine().open(SpeechRequest(text))
    frames = array("h")
    async for block in stream:
        frames.frombytes(block)
    return frames, list(stream.word_marks)


def recording(spoken: Spoken) -> array[int]:
    assert spoken.audio_path is not None
    with wave.open(str(spoken.audio_path)) as saved:
        frames = array("h")
        frames.frombytes(saved.readframes(saved.getnframes()))
        return frames


def went_on(events: EventRecorder) -> list[float]:
    return [event.data["position_s"] for event in events.events if event.event_type is EventType.TTS_WENT_ON]


def held_at(events: EventRecorder) -> list[float]:
    return [event.data["position_s"] for event in events.events if event.event_type is EventType.TTS_HELD]


async def test_what_was_held_is_completed_in_one_result_once_all_of_it_was_heard(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(0.8)
        speech.hold()
        assert speech.is_held
        await events.silence()
        speech.go_on()
        assert not speech.is_held
        spoken = await end_of(speech)
    assert (spoken.status, spoken.heard, spoken.unheard, spoken.note) == (SpeechStatus.COMPLETED, None, None, None)
    (line,) = exchanges(tmp_path)
    assert (line["metadata"]["status"], line["duration_ms"]) == ("completed", round(spoken.duration_s * 1000))


async def test_it_goes_on_with_the_first_word_that_was_not_wholly_heard(tmp_path: Path) -> None:
    _, marks = await rendition(MESSAGE)
    starts = [mark.start_s for mark in marks]
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        for position_s in (0.5, 1.1, 1.12, 1.8):
            await place.reaches(position_s)
            speech.hold()
            await events.silence()
            speech.go_on()
        spoken = await end_of(speech)
    for stopped_s, back_s in zip(held_at(events), went_on(events), strict=True):
        word_s = max(start_s for start_s in starts if start_s <= stopped_s + FADE_IN_S)
        assert back_s == pytest.approx(max(0.0, word_s - FADE_IN_S), abs=0.001)
    assert len(went_on(events)) == 4
    again_s = sum(stopped_s - back_s for stopped_s, back_s in zip(held_at(events), went_on(events), strict=True))
    frames, _ = await rendition(MESSAGE)
    assert spoken.duration_s == pytest.approx(TONE.seconds(len(frames)) + again_s, abs=0.01)


async def test_the_recording_is_what_was_played_the_word_that_was_said_twice_included(tmp_path: Path) -> None:
    frames, _ = await rendition(MESSAGE)
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(1.0)
        speech.hold()
        await events.silence()
        speech.go_on()
        spoken = await end_of(speech)
    saved = recording(spoken)
    stopped, back = (TONE.frames_in(seconds) for seconds in (held_at(events)[0], went_on(events)[0]))
    assert TONE.seconds(len(saved)) == pytest.approx(spoken.duration_s, abs=0.001)
    seam = len(saved) - (len(frames) - back)
    assert seam == pytest.approx(stopped, abs=TONE.frames_in(0.002))
    assert saved[:seam] == frames[:seam]
    assert saved[seam:] == frames[len(frames) - (len(saved) - seam) :]


async def test_a_stop_while_it_is_held_says_what_was_heard_before(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(1.0)
        speech.hold()
        await events.silence()
        speech.stop()
        spoken = await end_of(speech)
        assert not app.speaker.floor.is_held
    _, marks = await rendition(MESSAGE)
    newest = max((mark for mark in marks if mark.start_s <= held_at(events)[0]), key=lambda mark: mark.start_char)
    assert spoken.status is SpeechStatus.INTERRUPTED
    assert (spoken.heard, spoken.unheard) == (MESSAGE[: newest.start_char].rstrip(), MESSAGE[newest.start_char :])
    assert spoken.duration_s == pytest.approx(held_at(events)[0], abs=0.001)


async def test_a_stop_in_the_word_that_is_said_again_counts_no_word_as_unheard_that_was_heard(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(1.0)
        speech.hold()
        await events.silence()
        speech.go_on()
        speech.stop()
        spoken = await end_of(speech)
    _, marks = await rendition(MESSAGE)
    newest = max((mark for mark in marks if mark.start_s <= held_at(events)[0]), key=lambda mark: mark.start_char)
    assert spoken.heard == MESSAGE[: newest.start_char].rstrip()


async def test_nobody_else_speaks_while_an_utterance_is_held(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        first, place = begin(app)
        second, other = begin(app, "I come after it.")
        await place.reaches(0.5)
        first.hold()
        await events.silence()
        assert app.speaker.current is first
        assert app.speaker.queued == (second,)
        assert other.position_s == 0.0
        first.go_on()
        assert (await end_of(first)).status is SpeechStatus.COMPLETED
        assert (await end_of(second)).status is SpeechStatus.COMPLETED
    released = [event.utterance_id for event in events.events if event.event_type is EventType.FLOOR_RELEASED]
    assert released == [first.utterance_id, second.utterance_id]


async def test_an_utterance_that_waits_can_be_held_and_then_waits_with_the_floor(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        first, _ = begin(app, "Two words.")
        second, place = begin(app)
        second.hold()
        await end_of(first)
        await events.silence()
        assert place.position_s == 0.0
        second.go_on()
        assert (await end_of(second)).status is SpeechStatus.COMPLETED
    frames, _ = await rendition(MESSAGE)
    assert held_at(events) == [0.0]
    assert recording(await second.result()) == frames


async def test_whoever_is_held_for_too_long_ends_as_interrupted(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        app.speaker.longest_hold_s = 0.2
        speech, place = begin(app)
        await place.reaches(0.5)
        speech.hold()
        spoken = await end_of(speech)
        assert not app.speaker.floor.is_held
        speech.go_on()
    assert spoken.status is SpeechStatus.INTERRUPTED
    assert spoken.heard
    assert spoken.unheard


async def test_an_utterance_that_is_over_is_not_held(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        speech, _ = begin(app, "Short.")
        await end_of(speech)
        speech.hold()
        assert not speech.is_held


async def test_the_house_closes_at_once_around_an_utterance_that_is_held(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(0.5)
        speech.hold()
        await events.silence()
    assert (await end_of(speech)).status is SpeechStatus.INTERRUPTED


async def test_every_line_of_a_long_message_is_heard_around_a_hold_at_each_seam(tmp_path: Path) -> None:
    message = "One comes first here. Two comes after it. Three is the last of them all."
    async with house(tmp_path) as (app, events):
        speech, place = begin(app, message)
        for position_s in (0.3, 1.1, 1.3, 2.2):
            await place.reaches(position_s)
            speech.hold()
            await events.silence()
            speech.go_on()
        spoken = await end_of(speech)
    assert spoken.status is SpeechStatus.COMPLETED
    assert len(went_on(events)) == 4


async def test_a_voice_that_does_not_say_where_its_words_begin_goes_on_shortly_before(
    tmp_path: Path, speech_endpoint: SpeechEndpoint
) -> None:
    speech_endpoint.always(Behaviour(pace=3.0))
    given = {"tts_engine": "openai", "tts_base_urls": (speech_endpoint.base_url,)}
    async with house(tmp_path, **given) as (app, events):
        speech, place = begin(app)
        await place.reaches(1.4)
        speech.hold()
        await events.silence()
        speech.go_on()
        spoken = await end_of(speech)
    (asked,) = speech_endpoint.speech
    verdict = judge(recording(spoken).tobytes(), asked.audio)
    assert (verdict.missing, verdict.altered) == (0, 0)
    assert 0.15 <= held_at(events)[0] - went_on(events)[0] <= 1.3
    assert verdict.repeated == pytest.approx(TONE.frames_in(held_at(events)[0] - went_on(events)[0]), abs=48)


@pytest.mark.pulse
@pytest.mark.parametrize("backend", ["sounddevice", "miniaudio"])
async def test_a_real_card_gets_every_word_whole_and_nothing_but_fades_at_the_seam(
    tmp_path: Path, pulse_card: PulseCard, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    frames, marks = await rendition(MESSAGE)
    # All of it is there before it begins, so that a busy machine tears no gaps that are not this test's.
    async with house(tmp_path, audio_output=backend, streaming_enabled=False) as (app, events):
        speech, place = begin(app)
        await place.reaches(1.0)
        speech.hold()
        await events.silence()
        await asyncio.to_thread(pulse_card.wait_for_silence, 0.3, WAIT_S)
        before = heard_by(pulse_card)
        speech.go_on()
        spoken = await end_of(speech)
    await asyncio.to_thread(pulse_card.wait_for_silence, 0.3, WAIT_S)
    after = heard_by(pulse_card)[len(before) :]
    assert spoken.status is SpeechStatus.COMPLETED

    # Before the silence: the message from its beginning, whole but for the fade.
    reached, torn = followed(stripped(before), stripped(frames))
    assert len(stripped(before)) - reached - torn <= FADES
    # After it: the message from the beginning of a word to its end, with a fade in front of that word.
    word = max(TONE.frames_in(mark.start_s) for mark in marks if mark.start_s <= held_at(events)[0])
    assert reached >= word - TONE.frames_in(0.01)
    rest = stripped(frames[word:])
    same, torn = followed(stripped(after), rest)
    assert (same, len(stripped(after)) - torn) == (len(rest), len(rest))


def heard_by(card: PulseCard) -> array[int]:
    """What the card got, from its first sound on."""
    frames = array("h", card.captured())
    first = next(at for at, sample in enumerate(frames) if sample)
    return frames[first:]


def stripped(frames: array[int]) -> array[int]:
    """Without the silence at both ends."""
    loud = [at for at, sample in enumerate(frames) if sample]
    return frames[loud[0] : loud[-1] + 1]


def followed(heard: array[int], said: array[int]) -> tuple[int, int]:
    """How many frames are the same from the first on, and how many silent ones a device that ran dry put in between."""
    same = torn = 0
    for sample in heard:
        if same < len(said) and sample == said[same]:
            same += 1
        elif sample == 0:
            torn += 1
        else:
            break
    return same, torn
