"""What a ``TTS`` has while it speaks: engines, a device, and what is being made. Lives in the workshop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from voice_mcp.clock import Clock
from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.casting import Manner
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.errors import EngineError
from voice_mcp.library.calibration import Calibration
from voice_mcp.library.chunks import FRAME_S
from voice_mcp.library.file import WrittenFile, write
from voice_mcp.library.house import own_link_config, refuse_files, told_for_programs
from voice_mcp.library.playing import Said, play
from voice_mcp.library.progress_bar import Watch
from voice_mcp.library.rendition import Rendition
from voice_mcp.library.shaping import Shaper
from voice_mcp.library.turns import Cast, Line
from voice_mcp.parts import build_engines
from voice_mcp.pipe.child import AUDIO_PROCESS, confined
from voice_mcp.playback.link import AudioLink
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import Settings
from voice_mcp.types import Sampling

BLOCK_BYTES = 4096
MOST_PREBUFFER_S = FRAME_S
"""However slow an engine is known to be, sound starts when a second frame would come; a gap is collected for later."""


class Stage:
    """Makes, plays and writes speech.

    Args:
        settings: Which engines and devices.
        own: The caller's engine, in place of those of the settings; it is never closed here.
        cast: Who speaks with which voice.
        speed: 0.25 to 4.0.
        calibration: How loud the voices are to be.
        watermark_key: What the sound is marked with; None leaves it unmarked.
        clock: Tells how long things take.
    """

    def __init__(
        self,
        settings: Settings,
        own: SpeechEngine | None,
        cast: Cast,
        speed: float,
        calibration: Calibration,
        watermark_key: str | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._own = own
        self._cast = cast
        self._speed = speed
        self._calibration = calibration
        self._watermark_key = watermark_key
        self._clock = clock
        self._roster: SpeechRoster | None = None
        self._link: AudioLink | None = None
        self._voice_taken: asyncio.Lock | None = None
        self._open = set[Rendition]()

    async def load(self) -> None:
        """Load what the first text will need.

        Raises:
            EngineError: Nobody can speak.
        """
        problems: list[EngineError] = []
        roster = self._engines()
        for engine in roster.engines:
            try:
                await engine.check()
            except EngineError as exc:
                problems.append(exc)
            else:
                await self._calibration.prepare(self._manner(Line("", 0), None), roster)
                return
        raise problems[0]

    def begin(self, lines: Sequence[Line], sampling: Sampling | None) -> Rendition:
        """Begin to make the sound; whoever gets it closes it."""

        def manner(line: Line) -> Manner:
            return self._manner(line, sampling)

        shaper = Shaper(limits=self._calibration.target_lufs is not None, watermark_key=self._watermark_key)
        rendition = Rendition(lines, manner, self._engines(), self._calibration, shaper, on_close=self._open.discard)
        self._open.add(rendition)
        return rendition

    async def say(
        self, lines: Sequence[Line], sampling: Sampling | None, chunk_frames: int, watch: Watch, since_s: float
    ) -> Said:
        """Say it aloud; one after another."""
        if self._voice_taken is None:
            self._voice_taken = asyncio.Lock()
        rendition = self.begin(lines, sampling)
        try:
            async with self._voice_taken:
                roster, link = self._engines(), self._speakers()
                start_s = roster.prebuffer_s(roster.candidates()[0], MOST_PREBUFFER_S)
                rebuffer_s = chunk_frames * FRAME_S
                with told_for_programs("Name a file: tts.say(text, 'speech.wav')"):
                    return await play(
                        rendition, link, self._clock, watch, since_s=since_s, start_s=start_s, rebuffer_s=rebuffer_s
                    )
        finally:
            await rendition.aclose()

    async def write(self, path: Path, lines: Sequence[Line], sampling: Sampling | None, watch: Watch) -> WrittenFile:
        """Say it into a file."""
        rendition = self.begin(lines, sampling)
        try:
            return await write(rendition, path, watch)
        finally:
            await rendition.aclose()

    async def let_go(self) -> None:
        """End what is being made, and let go of engines and device; what comes later begins anew."""
        for rendition in tuple(self._open):
            await rendition.aclose()
        link, roster = self._link, self._roster
        self._link = self._roster = self._voice_taken = None
        if link is not None:
            await link.aclose()
        for engine in roster.engines if roster is not None else ():
            if engine is not self._own:
                await engine.aclose()

    def _manner(self, line: Line, sampling: Sampling | None) -> Manner:
        voice = self._cast.voice(line.speaker, self._engines().candidates()[0])
        return Manner(voice, self._settings.tts_voices, self._speed, sampling=sampling)

    def _engines(self) -> SpeechRoster:
        if self._roster is None:
            self._roster = SpeechRoster([self._own] if self._own else build_engines(self._settings), self._clock)
        return self._roster

    def _speakers(self) -> AudioLink:
        if self._link is None:
            refuse_files(self._settings, "Name a file: tts.say(text, 'speech.wav')")
            config = own_link_config(self._settings, block_bytes=BLOCK_BYTES)
            command = confined(AUDIO_PROCESS, offline=self._settings.offline)
            self._link = AudioLink(config, command, Converter)
        return self._link
