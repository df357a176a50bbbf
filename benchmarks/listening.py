"""The user answers: from the last word to the transcript, what is lost, how soon the agent falls silent, what it costs.

A real server over stdio, a private card with a microphone, and a transcription server that answers at once: what is
measured is what this project adds to a recogniser's own time.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile

from benchmarks.figures import Figure, median, quantile
from benchmarks.natural_voices import natural_voices
from benchmarks.weights import smart_turn_weights
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events
from tests.support.microphone import VirtualMicrophone
from tests.support.pulse import PulseCard
from tests.support.spoken import heard_share, phrases, silence
from tests.support.stdio import StdioServer
from voice_mcp.core.clear_ends import is_clear_end

ANSWERS = 8
INTERRUPTIONS = 24
SPEAKERS = ("en-us-f1", "en-gb-m2", "en-us-m1", "en-gb-f2")
SHORT = 5
"""The turn "Yes please" of each speaker."""
PHRASE = 0
"""A turn whose first phrase opens with a vowel, which is soft."""
WHOLE = 0.9
"""What is heard to this share is heard whole: the rest is resampling."""
IDLE_S, LISTEN_S = 8.0, 15.0
NOISE_FLOOR = 8
"""Of 32767: what fades is silent below."""
LONG = "This message has many words and goes on for a good while, so that there is time enough to interrupt it. " * 3
LIMIT_S = 60.0


async def measure() -> list[Figure]:
    """Answer, interrupt, and be silent, many times."""
    with PulseCard() as card, SpeechEndpoint(hears="Yes, please.") as endpoint:
        microphone = card.microphone(16_000, noise=12)
        place = Place(card, microphone, endpoint)
        words, lost = await _answered(place, {}, _short_answers())
        figures = [
            Figure("last word to transcript, words alone, p50", median(words) * 1000, "ms", None, _of(words)),
            Figure("last word to transcript, words alone, p95", quantile(words, 0.95) * 1000, "ms", None, _of(words)),
            Figure("answers right after the agent not heard whole", lost, "", 0, f"of {len(words)}, 0 to 50 ms after"),
        ]
        figures += await _with_the_model(place)
        figures += await _by_hand(place)
        figures += await _interruptions(place)
        figures.append(await _processor(place))
    return figures


class Place:
    """A card with a microphone, and a server that turns speech into words."""

    def __init__(self, card: PulseCard, microphone: VirtualMicrophone, endpoint: SpeechEndpoint) -> None:
        self.card, self.microphone, self.endpoint = card, microphone, endpoint

    def env(self, more: Mapping[str, str]) -> dict[str, str]:
        """The settings of a server here."""
        return {
            **self.card.env,
            "VOICEMODE_TTS_ENGINE": "tone",
            "VOICEMODE_AUDIO_OUTPUT": "sounddevice",
            "VOICEMODE_AUDIO_INPUT": "sounddevice",
            "VOICEMODE_STT_BASE_URLS": self.endpoint.base_url,
            **more,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user says."""

    words: str
    sound: bytes
    """In ``LISTENING_FORMAT``."""


def _short_answers(words: str = "Yes, please.") -> list[Answer]:
    """Of espeak's voices; the recogniser makes ``words`` of it."""
    speakers = [SPEAKERS[number % len(SPEAKERS)] for number in range(ANSWERS)]
    return [Answer(words, b"".join(phrases(speaker, SHORT))) for speaker in speakers]


def _clear_answers() -> list[Answer]:
    """Of a neural voice: all whose words are a whole answer and which end as a sentence does.

    Raises:
        OSError, subprocess.SubprocessError: The voice cannot be had here.
    """
    folder, answers = natural_voices(), []
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8"))["table"]:
        samples, _ = soundfile.read(folder / f"{entry['name']}.flac", dtype="int16")
        for turn in entry["turns"]:
            words = f"{turn['text']}."
            if is_clear_end(words, "en"):
                sound = b"".join(samples[first:end].tobytes() for first, end in turn["phrases"])
                answers.append(Answer(words, sound))
    return answers


async def _answered(
    place: Place, more: Mapping[str, str], answers: list[Answer], *, folder: Path | None = None
) -> tuple[list[float], int]:
    """Seconds from the last word to the result, for each answer; and how many answers were not heard whole."""
    delays, lost = [], 0
    with tempfile.TemporaryDirectory() as made:
        home = folder or Path(made)
        async with StdioServer(home, place.env(more)) as server:
            await server.initialize()
            for number, answer in enumerate(answers):
                place.endpoint.always_hear(answer.words)
                call = server.begin("tools/call", {"name": "converse", "arguments": {"message": "Well?"}})
                await _event(home, "TTS_PLAYBACK_END", number + 1)
                # The chime begins now; the answer comes with it.
                saying = place.microphone.say(silence(number % 6 / 100) + answer.sound)
                result = await server.answer(call)
                answered_s = time.perf_counter()
                assert result["result"]["structuredContent"]["status"] == "answered", result
                delays.append(answered_s - saying.over_s(LIMIT_S))
                lost += heard_share(answer.sound, place.endpoint.transcriptions[-1].upload.frames) < WHOLE
    return delays, lost


async def _with_the_model(place: Place) -> list[Figure]:
    """With the turn model: espeak's voices, of which it can tell nothing, and a voice that ends as people do."""
    try:
        weights, clear_answers = smart_turn_weights(), _clear_answers()
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"without the turn model: {exc}", file=sys.stderr)
        return []
    figures = []
    for name, answers, bar_ms in (("a clear end", clear_answers * 2, 350), ("espeak's voices", _short_answers(), None)):
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder) / "models"
            models.mkdir(parents=True, mode=0o700)
            shutil.copy(weights, models / "smart-turn.onnx")
            model = {"VOICEMODE_TURN_MODEL": "smart_turn"}
            delays, _ = await _answered(place, model, answers, folder=Path(folder))
        label = f"last word to transcript, turn model, {name}"
        figures += [
            Figure(f"{label}, p50", median(delays) * 1000, "ms", bar_ms, _of(delays)),
            Figure(f"{label}, p95", quantile(delays, 0.95) * 1000, "ms", None, _of(delays)),
        ]
    return figures


async def _by_hand(place: Place) -> list[Figure]:
    """With an end word: a clear end that needs no model."""
    answers = _short_answers("Change the port to eight thousand. Over.")
    delays, _ = await _answered(place, {"VOICEMODE_END_WORD": "over"}, answers)
    place.endpoint.always_hear("Yes, please.")
    return [Figure("last word to transcript, end word, p50", median(delays) * 1000, "ms", 350, _of(delays))]


async def _interruptions(place: Place) -> list[Figure]:
    """From the first sound of the user's voice to silence at the card."""
    silences, lost = [], 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with StdioServer(home, place.env({"VOICEMODE_BARGE_IN": "headphones"})) as server:
            await server.initialize()
            for number in range(INTERRUPTIONS):
                speech = phrases(SPEAKERS[number % len(SPEAKERS)], PHRASE)[0]
                call = server.begin("tools/call", {"name": "converse", "arguments": {"message": LONG}})
                await _event(home, "TTS_FIRST_AUDIO", number + 1)
                await _event(home, "RECORDING_START", number + 1)
                await asyncio.sleep(0.5 + number % 5 / 10)
                place.card.clear()
                saying = place.microphone.say(speech)
                result = await server.answer(call)
                assert result["result"]["structuredContent"]["status"] == "interrupted", result
                silences.append(_silent_from_s(place.card) - saying.begun_s(LIMIT_S))
                lost += heard_share(speech, place.endpoint.transcriptions[-1].upload.frames) < WHOLE
    return [
        Figure("interruption: first sound to silence, p50", median(silences) * 1000, "ms", None, _of(silences)),
        Figure("interruption: first sound to silence, p95", quantile(silences, 0.95) * 1000, "ms", 400, _of(silences)),
        Figure("interruptions not heard whole", lost, "", 0, f"of {len(silences)}"),
    ]


def _silent_from_s(card: PulseCard) -> float:
    """When the card got the last sample of the message: what follows it for 0.2 s is silence."""
    samples, last, quiet = memoryview(card.captured()).cast("h"), 0, card.rate_hz // 5
    for index, sample in enumerate(samples):
        if abs(sample) > NOISE_FLOOR:
            last = index
        elif index - last > quiet:
            break
    return card.capture.arrived_s(2 * last)


async def _processor(place: Place) -> Figure:
    """How much of one core listening takes, above what the server takes that only waits."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        more = {"VOICEMODE_NO_SPEECH_TIMEOUT_S": "60", "VOICEMODE_AUDIO_FEEDBACK": "false"}
        async with StdioServer(home, place.env(more)) as server:
            await server.initialize()
            call = server.begin("tools/call", {"name": "converse", "arguments": {"message": "Well?"}})
            await _event(home, "RECORDING_START", 1)
            await asyncio.sleep(2.0)
            before = _processor_s(server.process.pid)
            await asyncio.sleep(LISTEN_S)
            listening = (_processor_s(server.process.pid) - before) / LISTEN_S
            server.notify("notifications/cancelled", {"requestId": call})
            await _event(home, "RECORDING_END", 1)
            await asyncio.sleep(1.0)
            before = _processor_s(server.process.pid)
            await asyncio.sleep(IDLE_S)
            idle = (_processor_s(server.process.pid) - before) / IDLE_S
    share = (listening - idle) * 100
    return Figure("processor while listening, of one core", share, "%", 3, f"{LISTEN_S:.0f} s of a quiet room")


def _processor_s(pid: int) -> float:
    """Processor seconds of a process and its children so far."""
    total = 0.0
    for each in (pid, *_children(pid)):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _event(folder: Path, kind: str, count: int) -> None:
    """Wait until the log has so many events of a kind."""
    deadline_s = time.perf_counter() + LIMIT_S
    while time.perf_counter() < deadline_s:
        if sum(event["event_type"] == kind for event in logged_events(folder)) >= count:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"no {kind} within {LIMIT_S:g} s")


def _of(values: list[float]) -> str:
    return f"of {len(values)}"
