"""A test signal instead of a voice: one tone for each word, the same bytes for the same request.

Choose it (``VOICEMODE_TTS_ENGINE=tone``) to check a chain of sound without a speech engine: every word has its own
pitch, so what comes out at the far end tells what went in, and the marks are exact to the sample.
"""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.errors import UnknownVoice
from voice_mcp.types import PcmFormat, SpeechRequest, Voice, WordMark

BLOCK_S = 0.02
"""Seconds of audio in a block."""
CHARACTER_S = 0.055
"""Seconds a character lasts at speed 1: about 180 words a minute with the gaps."""
GAP_S = 0.05
"""Seconds of silence after each word at speed 1."""

_NAME = "tone"
_FORMAT = PcmFormat(rate_hz=24_000, channels=1)
_EDGE_FRAMES = _FORMAT.frames_in(0.005)

_TABLE_BITS = 12
_TABLE_SIZE = 1 << _TABLE_BITS
_FRACTION_BITS = 16
_PHASE_TO_INDEX = _TABLE_SIZE - 1

_LOWEST_HZ = 220.0
_SEMITONES = 36

_DESCRIPTIONS = {
    "sine": "Pure tones, 12 dB below full scale.",
    "square": "Square waves, 18 dB below full scale: rich in overtones.",
}
_DEFAULT_VOICE = "sine"


class ToneEngine:
    """Speaks in tones.

    Args:
        pace: How fast a stream gives its audio: 1.0 is as fast as it plays, None as fast as it is read.
    """

    def __init__(self, pace: float | None = None) -> None:
        self._pace = pace

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return ""

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def expected_format(self) -> PcmFormat:
        return _FORMAT

    def knows_voice(self, name: str) -> bool | None:
        return name.lower() in _DESCRIPTIONS

    async def open(self, request: SpeechRequest) -> ToneStream:
        voice = (request.voice or _DEFAULT_VOICE).lower()
        if voice not in _DESCRIPTIONS:
            raise UnknownVoice(f"tone has no voice {request.voice!r}.", hint="Use sine or square.")
        return ToneStream(request, voice, self._pace)

    async def check(self) -> None:
        """It always can."""

    async def voices(self) -> list[Voice]:
        return [Voice(name, _NAME, description=text) for name, text in _DESCRIPTIONS.items()]

    async def aclose(self) -> None:
        """Nothing is held."""


class ToneStream:
    """A segment in tones."""

    def __init__(self, request: SpeechRequest, voice: str, pace: float | None) -> None:
        self._voice = voice
        self._pace = pace
        self._bursts = _bursts(request.text, request.speed)
        self._table = _one_period(voice)
        self._edge = [0.5 - 0.5 * math.cos(math.pi * (i + 0.5) / _EDGE_FRAMES) for i in range(_EDGE_FRAMES)]
        self._frames = self._bursts[-1].stop_frame + self._bursts[-1].gap_frames if self._bursts else 0
        self._given_frames = 0
        self._next_burst = 0
        self._marks: list[WordMark] = []
        self._began_s: float | None = None
        self._closed = asyncio.Event()

    @property
    def engine(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return ""

    @property
    def voice(self) -> str:
        return self._voice

    @property
    def encoding(self) -> str:
        return "pcm"

    @property
    def connect_s(self) -> float:
        return 0.0

    @property
    def media_type(self) -> str:
        return ""

    @property
    def pcm_format(self) -> PcmFormat:
        return _FORMAT

    @property
    def word_marks(self) -> Sequence[WordMark]:
        return self._marks

    def __aiter__(self) -> ToneStream:
        return self

    async def __anext__(self) -> bytes:
        await self._until_due()
        count = min(_FORMAT.frames_in(BLOCK_S), self._frames - self._given_frames)
        if self._closed.is_set() or count <= 0:
            raise StopAsyncIteration
        block = self._render(self._given_frames, count)
        self._given_frames += count
        return block.tobytes()

    async def aclose(self) -> None:
        self._closed.set()

    async def _until_due(self) -> None:
        """Wait for the moment the next block would be played; at full speed, only let others run."""
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        played_s = _FORMAT.seconds(self._given_frames)
        wait_s = 0.0 if self._pace is None else self._began_s + played_s / self._pace - now_s
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._closed.wait()
        except TimeoutError:
            return  # the block is due

    def _render(self, first: int, count: int) -> array[int]:
        """Frames ``first`` to ``first + count``, and the marks of the words that begin in them."""
        out = array("h", bytes(count * _FORMAT.frame_bytes))
        end = first + count
        while self._next_burst < len(self._bursts):
            burst = self._bursts[self._next_burst]
            start, stop = max(burst.start_frame, first), min(burst.stop_frame, end)
            if start >= end:
                break
            if start == burst.start_frame:
                self._marks.append(WordMark(burst.start_char, burst.length_chars, _FORMAT.seconds(start)))
            out[start - first : stop - first] = self._sound(burst, start, stop)
            if burst.stop_frame > end:
                break
            self._next_burst += 1
        return out

    def _sound(self, burst: _Burst, start: int, stop: int) -> array[int]:
        table, step = self._table, burst.phase_step
        samples = array("h")
        phases = range((start - burst.start_frame) * step, (stop - burst.start_frame) * step, step)
        samples.extend([table[phase >> _FRACTION_BITS & _PHASE_TO_INDEX] for phase in phases])
        for frame in range(start, min(stop, burst.start_frame + _EDGE_FRAMES)):
            samples[frame - start] = round(samples[frame - start] * self._edge[frame - burst.start_frame])
        for frame in range(max(start, burst.stop_frame - _EDGE_FRAMES), stop):
            samples[frame - start] = round(samples[frame - start] * self._edge[burst.stop_frame - 1 - frame])
        return samples


@dataclass(frozen=True, slots=True)
class _Burst:
    """The tone of one word."""

    start_char: int
    length_chars: int
    start_frame: int
    stop_frame: int
    gap_frames: int
    phase_step: int
    """What a frame adds to the phase, in 1/65536 of a table entry."""


def pitch_hz(word: str) -> float:
    """The pitch of a word's tone: one of 36 semitones above 220 Hz, in any letter case the same."""
    key = zlib.crc32(word.casefold().encode("utf-8", "surrogatepass"))
    return _LOWEST_HZ * math.pow(2.0, key % _SEMITONES / 12)


def _bursts(text: str, speed: float) -> list[_Burst]:
    gap_frames = _FORMAT.frames_in(GAP_S / speed)
    at_frame = 0
    bursts = []
    for match in re.finditer(r"\S+", text):
        length_chars = match.end() - match.start()
        stop_frame = at_frame + _FORMAT.frames_in(length_chars * CHARACTER_S / speed)
        step = round(pitch_hz(match[0]) * (_TABLE_SIZE << _FRACTION_BITS) / _FORMAT.rate_hz)
        bursts.append(_Burst(match.start(), length_chars, at_frame, stop_frame, gap_frames, step))
        at_frame = stop_frame + gap_frames
    return bursts


def _one_period(voice: str) -> array[int]:
    if voice == "square":
        return array("h", [4096 if i < _TABLE_SIZE // 2 else -4096 for i in range(_TABLE_SIZE)])
    return array("h", [round(8192 * math.sin(2 * math.pi * i / _TABLE_SIZE)) for i in range(_TABLE_SIZE)])
