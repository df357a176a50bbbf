"""Kokoro: a small neural voice that sounds like a person and needs no GPU (kokoro-onnx, docs/engines.md).

    text ─▶ espeak-ng: phonemes ─▶ a sentence or a few ─▶ the network ─▶ sound, piece by piece

The network makes a piece whole, so the first sound is there when the first sentence is computed. Nothing is ever
fetched here; `voice-mcp models install kokoro` does that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.tts._espeak_text import clean
from voice_mcp.tts._extras import is_there, mending, not_there
from voice_mcp.tts._kokoro_voices import DEFAULT_VOICE, RATE_HZ, description_of, tongue_of, voices_in
from voice_mcp.tts._onnx_runs import StopSign
from voice_mcp.tts._threaded import Blocks, SpeakingThread, Speech, ThreadedStream
from voice_mcp.types import PcmFormat, SpeechRequest, Voice

if TYPE_CHECKING:
    from voice_mcp.tts._kokoro_library import KokoroModel

Files = tuple[Path, Path]
"""The network, and the voices."""

_NAME = "kokoro"
_LIBRARY = "kokoro_onnx"
_SETTING = "VOICEMODE_KOKORO_MODEL"
_FORMAT = PcmFormat(RATE_HZ, channels=1)


class KokoroEngine:
    """Speaks with Kokoro. The model itself speaks at 0.5 to 2 times its speed; beyond that its sound is stretched.

    Args:
        model: The model's name, for records.
        find: Where its files are; asked until they are loaded, so that they may come while a server runs. Raises
            EngineMissing while they are not there.
        model_of: Which model of the catalogue brings a network; None where it is the user's own.
    """

    def __init__(
        self, model: str, find: Callable[[], Files], *, model_of: Callable[[Path], str | None] = lambda _: None
    ) -> None:
        self._model = model
        self._find = find
        self._model_of = model_of
        self._thread = SpeakingThread(_NAME, self._forget)
        self._voices: list[str] | None = None
        self._loaded: KokoroModel | None = None
        """Touched by the thread alone."""

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
    def expected_format(self) -> PcmFormat:
        return _FORMAT

    @property
    def is_installed(self) -> bool:
        """Whether library and weights are there; nothing is loaded to see that."""
        try:
            self._find()
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
        try:
            return name in self._names()
        except EngineError:
            return None

    async def open(self, request: SpeechRequest) -> ThreadedStream:
        model = await self._thread.do(self._load)
        voice = self._choose(request.voice)
        sign = StopSign()
        begin = partial(_blocks, model, request, voice, sign)
        return self._thread.speak(Speech(self._model, voice, _FORMAT, begin, sign.stop))

    async def check(self) -> None:
        await self._thread.do(self._load)

    async def voices(self) -> list[Voice]:
        """Every voice of the languages that it can be given the sounds of."""
        names = self._names()
        return [Voice(name, _NAME, _tag(name), description_of(name)) for name in names]

    async def aclose(self) -> None:
        await self._thread.aclose()

    def _choose(self, wanted: str | None) -> str:
        names = self._names()
        if wanted is None:
            return DEFAULT_VOICE if DEFAULT_VOICE in names else names[0]
        if wanted not in names:
            raise UnknownVoice(f"kokoro has no voice {wanted!r}.", hint="Run `voice-mcp voices` for those there are.")
        return wanted

    def _names(self) -> list[str]:
        if self._voices is None:
            network, styles = self._find()
            hint = mending(self._model_of(network), _SETTING)
            names = voices_in(styles, hint)
            if not names:
                raise EngineError("Kokoro's file of voices holds none that can be used.", hint=hint)
            self._voices = names
        return self._voices

    def _load(self) -> KokoroModel:
        if self._loaded is None:
            if not is_there(_LIBRARY):
                raise not_there("kokoro-onnx", "kokoro")
            from voice_mcp.tts._kokoro_library import KokoroModel

            self._names()  # which says more of a file that is damaged than the library would
            network, styles = self._find()
            self._loaded = KokoroModel(network, styles, mending(self._model_of(network), _SETTING))
        return self._loaded

    def _forget(self) -> None:
        self._loaded = None


def _blocks(model: KokoroModel, request: SpeechRequest, voice: str, sign: StopSign) -> Blocks:
    from voice_mcp.tts._kokoro_library import blocks

    tongue = tongue_of(voice)
    assert tongue is not None
    return blocks(model, clean(request.text), voice, tongue.espeak, request.speed, sign)


def _tag(name: str) -> str:
    tongue = tongue_of(name)
    return tongue.tag if tongue is not None else ""
