"""What recognisers on this machine make of our own voice, from the clean file: no room, no noise, no microphone.

Whisper is measured where `VOICEMODE_WHISPER_MODEL` is installed. Errors are what to look at; times are of this machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.figures import Figure
from tests.support.voice import speak
from tests.support.words import word_error_rate
from voice_mcp.errors import EngineError
from voice_mcp.parts import local_whisper
from voice_mcp.settings import load_settings
from voice_mcp.stt.sphinx import SphinxRecognizer
from voice_mcp.types import LISTENING_FORMAT, RecognitionHints, Transcript

VOICES = ("en-us", "en-gb+f2", "en-us+m3")
SPEED = 0.9
SENTENCES = (
    "The second test fails because the socket is still open.",
    "Please open the settings file and change the port to eight thousand.",
    "Could you rename that function and run the tests again?",
    "I think the other branch was better, but let me look at it once more.",
    "The server answers in the morning and is silent at night.",
    "Wait a moment, I want to read what you wrote before we go on.",
)
COMMANDS = (
    *("yes", "no", "okay", "stop", "cancel", "wait", "wait a minute", "hold on", "repeat", "repeat that", "go on"),
    *("over", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twenty one", "forty two"),
)
HINTS = RecognitionHints("en")


class Listener(Protocol):
    """What is measured of a recogniser."""

    async def prepare(self) -> None: ...

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript: ...

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Tally:
    """What one recogniser made of some texts."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    sound_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def error_percent(self) -> float:
        """Word errors for a hundred words that were said."""
        return 100 * word_error_rate(self.pairs)

    @property
    def cpu_share(self) -> str:
        """Processor time for a second of sound."""
        return f"{self.cpu_s / self.sound_s:.2f} s of processor for 1 s of sound"


async def measure() -> list[Figure]:
    """Let everybody listen to the same sound."""
    figures = []
    commands, sentences = await _sounds(COMMANDS), await _sounds(SENTENCES)
    try:
        told = await _listen(SphinxRecognizer(), commands)
        strange = await _listen(SphinxRecognizer(), sentences)
        dictated = await _listen(SphinxRecognizer(None), sentences)
    except EngineError as exc:
        print(f"without pocketsphinx: {exc.advice}", file=sys.stderr)
    else:
        taken = sum(bool(text) for _, text in strange.pairs)
        figures += [
            _figure("sphinx, commands", told),
            Figure("sphinx, sentences taken for a command", taken, f"of {len(strange.pairs)}", 0.0),
            _figure("sphinx, dictation", dictated),
        ]
    whisper = local_whisper(load_settings().settings)
    try:
        figures.append(_figure(f"whisper {whisper.model}, dictation", await _listen(whisper, sentences)))
    except EngineError as exc:
        print(f"without Whisper: {exc.advice}", file=sys.stderr)
    return figures


async def _sounds(texts: Sequence[str]) -> list[tuple[str, bytes]]:
    return [(text, await speak(text, voice, SPEED)) for voice in VOICES for text in texts]


async def _listen(recognizer: Listener, sounds: Sequence[tuple[str, bytes]]) -> Tally:
    tally = Tally()
    try:
        await recognizer.prepare()
        for text, sound in sounds:
            began_s = time.process_time()
            transcript = await recognizer.transcribe(sound, HINTS)
            tally.cpu_s += time.process_time() - began_s
            tally.sound_s += LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(sound)))
            tally.pairs.append((text, transcript.text))
    finally:
        await recognizer.aclose()
    return tally


def _figure(what: str, tally: Tally) -> Figure:
    return Figure(f"{what}: our voice, clean file, word error rate", tally.error_percent, "%", detail=tally.cpu_share)
