"""Pocket TTS: a voice that is drawn frame by frame, quick enough for a processor (pocket-tts, docs/engines.md).

    text ─▶ tokens ─▶ the model: a frame of 80 ms at a time ─▶ its codec ─▶ blocks, as they come

The first block is the first frame. It draws its sound, so two runs of a text differ. Nothing is ever fetched here.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voice_mcp.errors import EngineMissing, UnknownVoice
from voice_mcp.tts._espeak_text import clean
from voice_mcp.tts._extras import is_there, not_there
from voice_mcp.tts._pocket_voices import DEFAULT_VOICE, RATE_HZ, PocketFolder
from voice_mcp.tts._threaded import Blocks, SpeakingThread, Speech, ThreadedStream
from voice_mcp.types import PcmFormat, SpeechRequest, Voice

if TYPE_CHECKING:
    from voice_mcp.tts._pocket_library import PocketModel

_NAME = "pocket"
_LIBRARY = "pocket_tts"
_FORMAT = PcmFormat(RATE_HZ, channels=1)


class PocketEngine:
    """Speaks with Pocket TTS. The model cannot be told a speed: its sound is stretched.

    Args:
        folder: A model and its voices; looked at until they are loaded, so that they may come while a server runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = PocketFolder(folder)
        self._thread = SpeakingThread(_NAME, self._forget)
        self._loaded: PocketModel | None = None
        """Touched by the thread alone."""

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._folder.language

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def expected_format(self) -> PcmFormat:
        return _FORMAT

    @property
    def is_installed(self) -> bool:
        """Whether library and weights are there; nothing is loaded to see that."""
        try:
            self._folder.check()
        except EngineMissing:
            return False
        return is_there(_LIBRARY)

    async def warm_up(self) -> None:
        """Load the model ahead of need.

        Raises:
            EngineError: It is not there, or cannot be used.
        """
        await self._thread.do(self._load)

    def knows_voice(self, name: str) -> bool | None:
        voices = self._folder.voices()
        return name in voices if voices else None

    async def open(self, request: SpeechRequest) -> ThreadedStream:
        model = await self._thread.do(self._load)
        voice = self._choose(request.voice)
        stop = threading.Event()
        begin = partial(_blocks, model, request, voice, stop)
        return self._thread.speak(Speech(self.model, voice, _FORMAT, begin, stop.set))

    async def check(self) -> None:
        await self._thread.do(self._load)

    async def voices(self) -> list[Voice]:
        """Every voice in the folder."""
        self._folder.check()
        return [Voice(name, _NAME, self._folder.tag, "neural") for name in self._folder.voices()]

    async def aclose(self) -> None:
        await self._thread.aclose()

    def _choose(self, wanted: str | None) -> str:
        names = self._folder.voices()
        if wanted is None:
            return DEFAULT_VOICE if DEFAULT_VOICE in names else names[0]
        if wanted not in names:
            raise UnknownVoice(f"pocket has no voice {wanted!r}.", hint="Run `voice-mcp voices` for those there are.")
        return wanted

    def _load(self) -> PocketModel:
        if self._loaded is None:
            if not is_there(_LIBRARY):
                raise not_there("pocket-tts", "pocket")
            self._folder.check()
            from voice_mcp.tts._pocket_library import PocketModel

            self._loaded = PocketModel(self._folder)
        return self._loaded

    def _forget(self) -> None:
        self._loaded = None


def _blocks(model: PocketModel, request: SpeechRequest, voice: str, stop: threading.Event) -> Blocks:
    from voice_mcp.tts._pocket_library import blocks

    return blocks(model, clean(request.text), voice, request.speed, stop)
