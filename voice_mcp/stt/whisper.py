"""Words on this machine: Whisper's models, by whisper.cpp (docs/adr/0020).

Nothing is ever fetched here; `voice-mcp models install` does that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.stt._whisper_file import INSTALL_HINT, look_at
from voice_mcp.types import RecognitionHints, Transcript

if TYPE_CHECKING:
    from voice_mcp.stt._whisper_library import WhisperModel

_T = TypeVar("_T")
_NAME = "whisper"
_LIBRARY = "_pywhispercpp"


class WhisperRecognizer:
    """Listens with a model that is loaded once and kept. All work is done in one thread.

    A cancelled transcription returns at once; its thread goes on to the end of the encoder's pass or of the word it is
    at, which the next one waits for.

    Args:
        model: Its name, for transcripts.
        find: Where its weights are; asked until they are loaded, so that they may come while a server runs. Raises
            EngineMissing while they are not there.
    """

    def __init__(self, model: str, find: Callable[[], Path]) -> None:
        self._model = model
        self._find = find
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_NAME)
        self._loaded: WhisperModel | None = None
        """Touched by the worker alone."""
        self._stops: set[threading.Event] = set()
        self._transcribing = False
        self._closed = False

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._model

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def leaves_machine(self) -> bool:
        return False

    async def prepare(self) -> None:
        """Load the model ahead of need.

        Raises:
            EngineMissing: The library or the weights are not installed.
            EngineError: The weights are damaged.
        """
        await self._run(self._load)

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript:
        if not frames:
            return Transcript("", _NAME, self._model, hints.language)
        stop = threading.Event()
        self._stops.add(stop)
        try:
            return await self._run(lambda: self._transcribe(frames, hints, stop))
        finally:
            stop.set()
            self._stops.discard(stop)

    @property
    def is_installed(self) -> bool:
        """Whether library and weights are there; whether they are any good is not looked at."""
        try:
            self._find()
        except EngineMissing:
            return False
        return _has_library()

    @property
    def is_busy(self) -> bool:
        """Whether the library is at work on what somebody said."""
        return self._transcribing

    async def check(self) -> None:
        """Begins to load the model, too: whoever asks is about to listen."""
        await asyncio.to_thread(self._look)
        if not self._closed:
            self._worker.submit(self._load)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        for stop in self._stops:
            stop.set()
        self._worker.submit(self._unload)
        self._worker.shutdown(wait=False)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._closed:
            raise EngineError("The whisper recogniser has been closed.")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _look(self) -> None:
        if not _has_library():
            raise EngineMissing("pywhispercpp is not installed.", hint=self._install_hint())
        look_at(self._find())

    def _install_hint(self) -> str:
        """How to get the library, and what else is missing."""
        try:
            self._find()
        except EngineMissing as exc:
            return f"{INSTALL_HINT} {exc.hint}"
        return INSTALL_HINT

    # --- worker thread -----------------------------------------------------------------------------------------

    def _load(self) -> None:
        if self._loaded is None and not self._closed:
            from voice_mcp.stt._whisper_library import WhisperModel  # numpy and the library

            self._loaded = WhisperModel(self._find())

    def _transcribe(self, frames: bytes, hints: RecognitionHints, stop: threading.Event) -> Transcript:
        if not stop.is_set():
            self._load()
        if stop.is_set() or self._loaded is None:
            raise EngineError("The transcription was stopped.")
        self._transcribing = True
        try:
            text, language = self._loaded.transcribe(frames, hints.language, hints.prompt, stop.is_set)
        finally:
            self._transcribing = False
        return Transcript(text, _NAME, self._model, language)

    def _unload(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()


def _has_library() -> bool:
    try:
        return find_spec(_LIBRARY) is not None
    except ValueError:  # it was put out of reach
        return False
