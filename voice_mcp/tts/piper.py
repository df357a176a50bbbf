"""Piper: quick neural voices in many languages, for machines of any size (piper-tts, docs/engines.md).

    text ─▶ espeak-ng: phonemes ─▶ a sentence ─▶ the network ─▶ sound, sentence by sentence

A voice is a pair of files. The one that the settings name speaks where nobody was asked for; every other pair in the
folder of models can be asked for by its name. piper-tts stands under the GNU GPL, version 3, so it is not part of this
package: who wants it installs it. Nothing is ever fetched here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.tts._espeak_text import clean
from voice_mcp.tts._extras import is_there, mending, not_there
from voice_mcp.tts._onnx_runs import StopSign
from voice_mcp.tts._piper_voices import SETTING, SPEAKER_MARK, PiperVoice, read_voice, voices_in
from voice_mcp.tts._threaded import Blocks, SpeakingThread, Speech, ThreadedStream
from voice_mcp.types import PcmFormat, SpeechRequest, Voice

if TYPE_CHECKING:
    from voice_mcp.tts._piper_library import PiperModel

_NAME = "piper"
_LIBRARY = "piper"
_USUAL_RATE_HZ = 22_050
_MODELS_IN_MEMORY = 3


class PiperEngine:
    """Speaks with piper. A network itself speaks at 0.5 to 2 times its speed; beyond that its sound is stretched.

    Args:
        default_voice: Its name, for records.
        find: Where its network is; asked again as long as it is not there, so that it may come while a server runs.
            Raises EngineMissing while it is not.
        folder: Where others are.
        model_of: Which model of the catalogue brings a network; None where it is the user's own.
    """

    def __init__(
        self,
        default_voice: str,
        find: Callable[[], Path],
        folder: Path | None = None,
        *,
        model_of: Callable[[Path], str | None] = lambda _: None,
    ) -> None:
        self._default_voice = default_voice
        self._find = find
        self._folder = folder
        self._model_of = model_of
        self._thread = SpeakingThread(_NAME, self._forget)
        self._models: OrderedDict[Path, PiperModel] = OrderedDict()
        """Touched by the thread alone; the one that was used last is the last."""

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._default_voice

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def expected_format(self) -> PcmFormat:
        try:
            return PcmFormat(self._default().rate_hz, channels=1)
        except EngineError:
            return PcmFormat(_USUAL_RATE_HZ, channels=1)

    @property
    def is_installed(self) -> bool:
        """Whether the library and the voice of the settings are there; nothing is loaded to see that."""
        try:
            self._default()
        except EngineMissing:
            return False
        except EngineError:
            pass  # it is there, and whoever asks it to speak is told what is wrong with it
        return is_there(_LIBRARY)

    async def warm_up(self) -> None:
        """Load the voice of the settings ahead of need.

        Raises:
            EngineError: It is not there, or cannot be used.
        """
        if not is_there(_LIBRARY):
            raise not_there("piper-tts", "piper")
        await self._thread.do(lambda: self._load(self._default().path))

    def knows_voice(self, name: str) -> bool | None:
        try:
            return any(name in voice.names for voice in self._installed())
        except EngineError:
            return None

    async def open(self, request: SpeechRequest) -> ThreadedStream:
        if not is_there(_LIBRARY):
            raise not_there("piper-tts", "piper")
        voice, speaker = self._choose(request.voice)
        model = await self._thread.do(lambda: self._load(voice.path))
        sign = StopSign()
        begin = partial(_blocks, model, request, voice, speaker, sign)
        fmt = PcmFormat(voice.rate_hz, channels=1)
        return self._thread.speak(Speech(voice.name, request.voice or voice.name, fmt, begin, sign.stop))

    async def check(self) -> None:
        await self.warm_up()

    async def voices(self) -> list[Voice]:
        """Every voice in the folder, and every speaker of those that have several."""
        return [Voice(name, _NAME, voice.language) for voice in self._installed() for name in voice.names]

    async def aclose(self) -> None:
        await self._thread.aclose()

    def _default(self) -> PiperVoice:
        path = self._find()
        return read_voice(path, self._model_of(path))

    def _installed(self) -> list[PiperVoice]:
        """The voice of the settings first.

        Raises:
            EngineError: It cannot be used.
        """
        default = self._default()
        others = voices_in(self._folder) if self._folder is not None else []
        return [default, *(voice for voice in others if voice.name != default.name)]

    def _choose(self, wanted: str | None) -> tuple[PiperVoice, int | None]:
        if wanted is None:
            return self._default(), None
        for voice in self._installed():
            if wanted in voice.names:
                return voice, voice.speakers.get(wanted.removeprefix(voice.name + SPEAKER_MARK))
        raise UnknownVoice(f"piper has no voice {wanted!r}.", hint="Run `voice-mcp voices` for those there are.")

    def _load(self, path: Path) -> PiperModel:
        if path not in self._models:
            from voice_mcp.tts._piper_library import PiperModel

            self._models[path] = PiperModel(path, mending(self._model_of(path), SETTING))
        self._models.move_to_end(path)
        while len(self._models) > _MODELS_IN_MEMORY:
            self._models.popitem(last=False)
        return self._models[path]

    def _forget(self) -> None:
        self._models.clear()


def _blocks(
    model: PiperModel, request: SpeechRequest, voice: PiperVoice, speaker: int | None, sign: StopSign
) -> Blocks:
    from voice_mcp.tts._piper_library import blocks

    return blocks(model, clean(request.text), speaker, voice.rate_hz, request.speed, sign)
