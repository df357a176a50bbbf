"""One gain for a voice: as loud as was asked for, and nothing that follows the sound."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import numpy as np
import pytest

from voice_mcp import TTS
from voice_mcp.clock import SystemClock
from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.core.casting import Manner
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.errors import EngineError
from voice_mcp.library.calibration import SENTENCE, Calibration
from voice_mcp.library.chunks import FORMAT
from voice_mcp.library.rendition import Rendition
from voice_mcp.library.shaping import Shaper
from voice_mcp.library.turns import Line
from voice_mcp.samples.convert import to_frames, to_samples
from voice_mcp.tts.tone import ToneEngine, ToneStream
from voice_mcp.types import SpeechRequest
from voice_mcp.watermark.detector import detect

TEXT = "Every word has a tone of its own. This is the second sentence, which is a little longer than the first one."


@pytest.mark.parametrize("target_lufs", [-30.0, -18.0, -14.0])
@pytest.mark.parametrize("voice", ["sine", "square"])
def test_every_voice_comes_to_the_loudness_that_was_asked_for(target_lufs: float, voice: str) -> None:
    with TTS(ToneEngine(), loudness_lufs=target_lufs) as tts:
        sound = tts.generate(TEXT, speaker=voice)
    assert loudness_lufs(to_frames(sound), FORMAT) == pytest.approx(target_lufs, abs=1.0)
    assert np.abs(sound).max() <= 10 ** (-1 / 20)


def test_the_gain_is_one_number_and_silence_stays_silence() -> None:
    with TTS(ToneEngine()) as tts, TTS(ToneEngine(), loudness_lufs=-24.0) as level:
        plain, levelled = tts.generate(TEXT), level.generate(TEXT)
    sounding = np.abs(plain) > 0.01
    ratios_db = 20 * np.log10(levelled[sounding] / plain[sounding])
    assert ratios_db.max() - ratios_db.min() < 0.1
    assert not levelled[plain == 0].any()


def test_streaming_and_whole_are_the_same_at_a_wanted_loudness_too() -> None:
    with TTS(ToneEngine(), loudness_lufs=-14.0) as tts:
        streamed = np.concatenate(list(tts.generate_streaming(TEXT, chunk_size=3)))
        assert np.array_equal(streamed, tts.generate(TEXT))


SPOKEN = "A sentence that is spoken by a voice, and takes a few seconds of time. Another one follows it at once."


def test_what_is_marked_is_found_and_what_is_not_is_not() -> None:
    with TTS("espeak") as tts, TTS("espeak", watermark_key="ours", loudness_lufs=-18) as marked:
        assert not detect(tts.generate(SPOKEN), 24_000, "ours").is_marked
        chunks = list(marked.generate_streaming(SPOKEN, chunk_size=3))
    assert detect(np.concatenate(chunks), 24_000, "ours").is_marked
    assert not detect(np.concatenate(chunks), 24_000, "theirs").is_marked


def test_the_key_may_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_WATERMARK_KEY", "ours")
    with TTS("espeak") as tts:
        assert detect(tts.generate(SPOKEN), 24_000, "ours").is_marked


def test_speakers_of_a_dialogue_are_as_loud_as_each_other() -> None:
    with TTS(ToneEngine(), loudness_lufs=-20.0) as tts:
        quiet, loud = tts.generate([(0, TEXT)]), tts.generate([(1, TEXT)])
        both = tts.generate([(0, TEXT), (1, TEXT)])
    assert np.array_equal(both, np.concatenate((quiet, loud)))
    loudnesses = [loudness_lufs(to_frames(sound), FORMAT) for sound in (quiet, loud)]
    assert loudnesses[0] == pytest.approx(loudnesses[1], abs=1.0)


class Voice(ToneEngine):
    """A tone of a loudness of its own, that may fail from its second line on.

    Args:
        name: What it is called.
        share: Of the usual level.
        lines: So many it says before it fails.
    """

    def __init__(self, name: str, share: float, lines: float = math.inf) -> None:
        super().__init__()
        self._name = name
        self._share = share
        self._lines = lines
        self.texts: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    async def open(self, request: SpeechRequest) -> ToneStream:
        if request.text != SENTENCE:
            self.texts.append(request.text)
        if len(self.texts) > self._lines:
            raise EngineError("The voice is gone.", hint="Say nothing.")
        return QuieterStream(await super().open(request), self._name, self._share)  # type: ignore[return-value]


class QuieterStream:
    def __init__(self, stream: ToneStream, engine: str, share: float) -> None:
        self._stream = stream
        self.engine = engine
        self._share = share

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            yield to_frames(self._share * to_samples(block))


@pytest.mark.anyio
async def test_whoever_takes_over_is_brought_to_the_same_loudness() -> None:
    engines = [Voice("first", 1.0, lines=1), Voice("second", 0.1)]
    calibration = Calibration(-20.0)
    lines = [Line(TEXT, 0), Line(TEXT, 0)]
    rendition = Rendition(
        lines, lambda _: Manner(), SpeechRoster(engines, SystemClock()), calibration, Shaper(limits=True)
    )
    sound = np.zeros(0, np.float32)
    async with asyncio.timeout(20.0):
        while (piece := await rendition.take(24_000)) is not None:
            sound = np.concatenate((sound, piece))
    await rendition.aclose()
    half = len(sound) // 2
    first, second = (loudness_lufs(to_frames(part), FORMAT) for part in (sound[:half], sound[half:]))
    assert rendition.spoken_by.engine == "second"
    assert (first, second) == pytest.approx((-20.0, -20.0), abs=1.0)


def test_a_voice_is_measured_once_whatever_is_drawn() -> None:
    engine = Counted()
    with TTS(engine, loudness_lufs=-20.0) as tts:
        tts.load_model()
        for seed in range(3):
            tts.generate("Hello there.", seed=seed)
    assert engine.measured == 1


class Counted(ToneEngine):
    """Counts how often it is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.measured = 0

    async def open(self, request: SpeechRequest) -> ToneStream:
        self.measured += request.text == SENTENCE
        return await super().open(request)


class Loud(ToneEngine):
    """Noise at full scale."""

    async def open(self, request: SpeechRequest) -> ToneStream:
        return NoiseStream(await super().open(request))  # type: ignore[return-value]


class NoiseStream:
    def __init__(self, stream: ToneStream) -> None:
        self._stream = stream
        self._random = np.random.default_rng(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            yield to_frames(self._random.choice([-1.0, 1.0], len(block) // 2).astype(np.float32))


@pytest.mark.parametrize(("loudness_lufs", "most"), [(None, 1.0), (-14.0, 10 ** (-1 / 20))])
def test_a_mark_lifts_no_peak_over_the_ceiling(loudness_lufs: float | None, most: float) -> None:
    with TTS(Loud(), watermark_key="ours", loudness_lufs=loudness_lufs) as tts:
        assert np.abs(tts.generate(TEXT)).max() <= most


def test_an_empty_key_leaves_one_object_unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_WATERMARK_KEY", "ours")
    with TTS("espeak", watermark_key="") as tts:
        assert not detect(tts.generate(SPOKEN), 24_000, "ours").is_marked
