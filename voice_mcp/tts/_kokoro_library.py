"""kokoro-onnx, and the network it runs: phonemes to sound. Thread: the engine's.

The library would speak a text whole, or stream it within an event loop of its own choosing; here it is asked for one
phrase at a time, so that a thread can stop between two of them. It takes the silence off both ends of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples
from voice_mcp.tts._espeak_text import closing_pause_s
from voice_mcp.tts._extras import not_there
from voice_mcp.tts._kokoro_phonemes import Phrase, Reader, phrases
from voice_mcp.tts._kokoro_voices import RATE_HZ
from voice_mcp.tts._onnx_runs import StoppableSession, StopSign
from voice_mcp.tts._own_speed import in_time, own_speed, silence


class KokoroModel:
    """The network and its voices, loaded.

    Args:
        model: The network, an ONNX file.
        voices: The file of voices.
        hint: What to do where they cannot be used.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The files cannot be used.
    """

    def __init__(self, model: Path, voices: Path, hint: str) -> None:
        try:
            from kokoro_onnx import Kokoro
        except ImportError as exc:
            raise not_there("kokoro-onnx", "kokoro") from exc
        try:
            self._kokoro: Any = Kokoro(str(model), str(voices))
        except Exception as exc:  # the runtime has a tree of its own, and says it in many ways
            raise EngineError(f"{model.name} is not a model that Kokoro can use.", hint=hint) from exc
        self._kokoro.voices.close()  # an archive that it would keep open; a voice is read when it first speaks
        self._session = self._kokoro.sess = StoppableSession(self._kokoro.sess)
        self._reader = Reader(self._kokoro.tokenizer.vocab)
        self._voices = voices
        self._styles: dict[str, Any] = {}

    def phrases(self, text: str, language: str) -> Iterator[Phrase]:
        """A text as phonemes, a sentence or a few at a time, or a part of a long one.

        Args:
            text: Clean, as ``_espeak_text`` has it.
            language: As espeak-ng calls it.
        """
        return phrases(text, language, lambda piece: self._reader.read(piece, language))

    def sound(self, phonemes: str, voice: str, speed: float, sign: StopSign) -> Samples:
        """A phrase as sound, (n,), 24 kHz.

        Args:
            phonemes: What ``phrases`` gave.
            voice: One that is in the file.
            speed: 0.5 to 2.0.
            sign: Stops it.
        """
        self._session.sign = sign
        samples, _ = self._kokoro.create(phonemes, self._style(voice), speed, is_phonemes=True)
        return as_samples(samples)

    def _style(self, voice: str) -> Any:
        if voice not in self._styles:
            with np.load(self._voices) as archive:
                self._styles[voice] = archive[voice]
        return self._styles[voice]


def blocks(model: KokoroModel, text: str, voice: str, language: str, speed: float, sign: StopSign) -> Iterator[bytes]:
    """A text as frames in flight, sentence by sentence, each followed by its pause.

    Args:
        model: Who speaks.
        text: Clean, as ``_espeak_text`` has it: espeak-ng is given only what it survives.
        voice: One that is in the file.
        language: As espeak-ng calls it.
        speed: 0.25 to 4.0.
        sign: Stops it.
    """
    own = own_speed(speed)
    return in_time(_sounds(model, text, voice, language, own, sign), RATE_HZ, speed / own)


def _sounds(
    model: KokoroModel, text: str, voice: str, language: str, speed: float, sign: StopSign
) -> Iterator[Samples]:
    for phrase in model.phrases(text, language):
        yield model.sound(phrase.phonemes, voice, speed, sign)
        if phrase.pause_follows:
            yield silence(closing_pause_s(phrase.phonemes, speed), RATE_HZ)
