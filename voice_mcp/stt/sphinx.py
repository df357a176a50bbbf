"""Words without a network, a model file or a wait: pocketsphinx, whose wheel holds an English model (docs/adr/0020).

It is good at telling a few phrases apart, and that is what it is for: a grammar says which. Without a grammar it
understands about every second word. Results do not depend on what was heard before, nor on how frames were cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from voice_mcp.errors import EngineError
from voice_mcp.stt._sphinx_grammar import COMMANDS
from voice_mcp.types import LISTENING_FORMAT, RecognitionHints, Transcript

if TYPE_CHECKING:
    from voice_mcp.stt._sphinx_decoder import SphinxDecoder

_T = TypeVar("_T")
_NAME = "sphinx"
_LANGUAGE = "en"
_STEP_BYTES = LISTENING_FORMAT.frames_in(0.1) * LISTENING_FORMAT.frame_bytes
"""How much is decoded before somebody else gets a turn, and before it is seen that nobody waits any more."""


class SphinxRecognizer:
    """A ``StreamingRecognizer`` for English.

    Its decoders (40 MB with a grammar, 100 MB without) are made when first needed and kept; there are as many as turns
    are recognised at the same time. All work is done in one thread.

    Args:
        grammar: What to listen for, in JSGF; None for free dictation. ``grammar_of`` makes one from phrases.
    """

    def __init__(self, grammar: str | None = COMMANDS) -> None:
        self._grammar = grammar
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_NAME)
        self._idle: list[SphinxDecoder] = []
        """Touched by the worker alone."""
        self._closed = False

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return "dictation" if self._grammar is None else "commands"

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def leaves_machine(self) -> bool:
        return False

    async def prepare(self) -> None:
        """Load everything ahead of need.

        Raises:
            EngineMissing: pocketsphinx is not installed.
            EngineError: The grammar cannot be used.
        """
        await self.run(lambda: self._idle.append(self._take()))

    async def check(self) -> None:
        await self.prepare()

    async def open(self, hints: RecognitionHints) -> SphinxRecognition:
        _check_language(hints.language)
        return SphinxRecognition(self, await self.run(self._take))

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript:
        recognition = await self.open(hints)
        try:
            await recognition.add(frames)
            return await recognition.finish()
        finally:
            await recognition.aclose()

    async def aclose(self) -> None:
        self._closed = True
        self._worker.shutdown(wait=False)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do some work where the decoders live."""
        if self._closed:
            raise EngineError("The sphinx recogniser has been closed.")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def transcript(self, text: str) -> Transcript:
        """What was said, in our name."""
        return Transcript(text, _NAME, self.model, _LANGUAGE)

    def give_back(self, decoder: SphinxDecoder) -> None:
        """Keep a decoder for the next turn. Returns at once."""
        if not self._closed:
            self._worker.submit(self._idle.append, decoder)

    def _take(self) -> SphinxDecoder:
        if not self._idle:
            from voice_mcp.stt._sphinx_decoder import SphinxDecoder  # numpy, which a process that only speaks lacks

            return SphinxDecoder(self._grammar)
        return self._idle.pop()


class SphinxRecognition:
    """One turn. It has its decoder to itself until it is closed."""

    def __init__(self, recognizer: SphinxRecognizer, decoder: SphinxDecoder) -> None:
        self._recognizer = recognizer
        self._decoder: SphinxDecoder | None = decoder
        self._begun = False

    async def add(self, frames: bytes) -> str:
        decoder = await self._ready()
        for at in range(0, len(frames), _STEP_BYTES):
            step = frames[at : at + _STEP_BYTES]
            await self._recognizer.run(lambda step=step: decoder.add(step))  # type: ignore[misc]
        return await self._recognizer.run(decoder.understood)

    async def finish(self) -> Transcript:
        decoder = await self._ready()
        self._begun = False
        return self._recognizer.transcript(await self._recognizer.run(decoder.finish))

    async def aclose(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            self._recognizer.give_back(decoder)

    async def _ready(self) -> SphinxDecoder:
        if self._decoder is None:
            raise EngineError("This turn is closed.")
        if not self._begun:
            self._begun = True
            await self._recognizer.run(self._decoder.begin)
        return self._decoder


def _check_language(language: str | None) -> None:
    if language is not None and language.lower().replace("_", "-").split("-")[0] != _LANGUAGE:
        raise EngineError(
            f"sphinx understands English, and not {language}.",
            hint="Set VOICEMODE_STT_LANGUAGE=en, or choose another engine with VOICEMODE_STT_ENGINE.",
        )
