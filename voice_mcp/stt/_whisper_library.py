"""whisper.cpp behind two verbs. Everything here belongs to one thread. Imports numpy and the library: load it lazily.

It is the binding of pywhispercpp that is used, not its ``Model``: that one fetches what it does not find, and hides
whether the library failed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.stt._whisper_file import INSTALL_HINT, look_at
from voice_mcp.types import LISTENING_FORMAT

LEAST_FRAMES = LISTENING_FORMAT.frames_in(1.25)
"""The library takes less than a second for nothing at all; silence is put behind what is shorter."""
MOST_THREADS = 4
"""More gain little. No more than half of the cores either: the library's threads wait for each other in a busy loop,
so where others work too, two threads on two cores took three times as long as one."""
_ERROR = 4
_FOREIGN = (RuntimeError, IndexError, ValueError, MemoryError)
"""What the binding makes of the library's own exceptions."""
_ENGLISH = "en"


class WhisperModel:
    """A model in memory.

    Args:
        path: The weights, in the format of whisper.cpp.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The file is no model, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._library = _library()
        self.is_multilingual = look_at(path).is_multilingual
        with _quiet(self._library) as complaints:
            context = self._library.whisper_init_from_file_with_params(
                str(path), self._library.whisper_context_default_params()
            )
        if complaints:  # whoever uses what came of it brings the process down
            raise EngineError(f"whisper.cpp cannot use {path.name}: {complaints[-1]}.")
        self._context = context

    def transcribe(
        self, frames: bytes, language: str | None, prompt: str | None, stopped: Callable[[], bool]
    ) -> tuple[str, str]:
        """The words and their language; what the words are worth nothing for when ``stopped`` turned true.

        Args:
            frames: In ``LISTENING_FORMAT``.
            language: ISO 639-1; None finds out, where the model knows several.
            prompt: What is likely to be said.
            stopped: Asked from the library's threads before each step: each pass of the encoder, each word.

        Raises:
            EngineError: The library failed, or does not know the language.
        """
        samples = np.frombuffer(frames, dtype="<i2").astype(np.float32) / 32768
        samples = np.pad(samples, (0, max(0, LEAST_FRAMES - len(samples))))
        with _quiet(self._library) as complaints:
            parameters = self._parameters(language, prompt)
            self._library.assign_abort_callback(parameters, stopped)
            try:
                code = self._library.whisper_full(self._context, parameters, samples, len(samples))
            except _FOREIGN as exc:
                raise EngineError(f"whisper.cpp failed: {exc}.") from exc
            if code != 0 and not stopped():
                raise EngineError(
                    f"whisper.cpp failed ({code}): {complaints[-1] if complaints else 'it says no more'}."
                )
            segments = range(self._library.whisper_full_n_segments(self._context))
            # Joined before they are decoded: a character may lie across two of them.
            text = b"".join(self._library.whisper_full_get_segment_text(self._context, index) for index in segments)
            spoken = self._library.whisper_lang_str(self._library.whisper_full_lang_id(self._context))
        return text.decode("utf-8", errors="replace").strip(), spoken

    def close(self) -> None:
        """Free the memory. The model is not used afterwards."""
        self._library.whisper_free(self._context)

    def _parameters(self, language: str | None, prompt: str | None) -> Any:
        library = self._library
        parameters = library.whisper_full_default_params(library.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        parameters.language = self._language(language)
        parameters.initial_prompt = prompt or ""
        parameters.n_threads = max(1, min(MOST_THREADS, (os.cpu_count() or 1) // 2))
        parameters.suppress_nst = True  # "[BLANK_AUDIO]" and "(music)" are nobody's words
        parameters.print_progress = False
        return parameters

    def _language(self, wanted: str | None) -> str:
        if wanted is None:
            return "auto" if self.is_multilingual else _ENGLISH
        code = wanted.lower().replace("_", "-").split("-")[0]
        if self._library.whisper_lang_id(code) < 0:
            raise EngineError(f"Whisper does not know the language {wanted}.", hint="Correct VOICEMODE_STT_LANGUAGE.")
        if not self.is_multilingual and code != _ENGLISH:
            hint = "Set VOICEMODE_WHISPER_MODEL to a model without .en in its name, and install it."
            raise EngineError(f"This Whisper model understands English, and not {wanted}.", hint=hint)
        return code


def _library() -> Any:
    try:
        import _pywhispercpp
    except ImportError as exc:
        raise EngineMissing("pywhispercpp is not installed.", hint=INSTALL_HINT) from exc
    return _pywhispercpp


@contextmanager
def _quiet(library: Any) -> Iterator[list[str]]:
    """Keep what the library would print on standard error; yields its complaints.

    Set and taken back each time: a listener that is still set when the interpreter ends brings it down.
    """
    complaints: list[str] = []

    def listen(level: int, text: str, *_: object) -> None:
        if level == _ERROR:
            complaints.append(text.partition(": ")[2].strip().rstrip("."))

    library.whisper_log_set(listen)
    try:
        yield complaints
    finally:
        library.whisper_log_set(None)
