"""kokoro-onnx, and the network it runs: text to phonemes, phonemes to sound. Thread: the engine's.

The library would speak a text whole, or stream it within an event loop of its own choosing; here it is asked for one
piece of phonemes at a time, so that a thread can stop between two of them. It takes the silence off both ends of each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples
from voice_mcp.tts._espeak_text import closing_pause_s, pieces, without_abbreviation_dots
from voice_mcp.tts._extras import Mend, not_there
from voice_mcp.tts._kokoro_voices import RATE_HZ
from voice_mcp.tts._onnx_runs import StoppableSession, StopSign
from voice_mcp.tts._own_speed import in_time, own_speed, silence

LEAST_PHONEMES = 60
"""A piece is at least so long, but for the first: very short ones are spoken at another pace than their neighbours."""
MOST_PHONEMES = 200
"""And at most so long, about 15 s: a number of many digits is a few characters of text and minutes of speech."""
_BREATHS = (re.compile(r"[,;:—]\s+"), re.compile(r"\s+"))
"""Where to cut what is longer, the better place first."""
_CUT = "\0"
"""Ends a piece that goes on in the next one: no pause belongs there."""
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")


class KokoroModel:
    """The network and its voices, loaded.

    Args:
        model: The network, an ONNX file.
        voices: The file of voices.
        mend: What to do where one of them is damaged.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The files cannot be used.
    """

    def __init__(self, model: Path, voices: Path, mend: Mend) -> None:
        try:
            import phonemizer
            from kokoro_onnx import Kokoro
        except ImportError as exc:
            raise not_there("kokoro-onnx", "kokoro") from exc
        try:
            self._kokoro: Any = Kokoro(str(model), str(voices))
        except Exception as exc:  # the runtime has a tree of its own, and says it in many ways
            raise EngineError(f"{model.name} is not a model that Kokoro can use.", hint=mend(model)) from exc
        self._phonemizer: Any = phonemizer
        self._silent = logging.getLogger("phonemizer.silent")  # it warns of every number, which is many words
        self._silent.setLevel(logging.ERROR)
        self._kokoro.voices.close()  # an archive that it would keep open; a voice is read when it first speaks
        self._session = self._kokoro.sess = StoppableSession(self._kokoro.sess)
        self._voices = voices
        self._styles: dict[str, Any] = {}

    def pieces(self, text: str, language: str) -> list[str]:
        """A text as phonemes, a sentence or a few at a time.

        Args:
            text: One line.
            language: As espeak-ng calls it.
        """
        sentences: list[str] = []
        for sentence in _SENTENCE_END.split(self._phonemes(text, language)):
            if not any(map(str.isalpha, sentence)):
                continue
            if len(sentences) > 1 and len(sentences[-1]) < LEAST_PHONEMES:
                sentences[-1] += f" {sentence}"
            else:
                sentences.append(sentence)
        return [piece for sentence in sentences for piece in _cut(sentence)]

    def _phonemes(self, text: str, language: str) -> str:
        """What the network knows of a text's sounds.

        The library's own way writes "(en)" and "(fr)" around a word of another language, and the network would say so.
        """
        phonemes = self._phonemizer.phonemize(
            without_abbreviation_dots(text),
            language,
            preserve_punctuation=True,
            with_stress=True,
            language_switch="remove-flags",
            logger=self._silent,
        )
        known: str = self._kokoro.tokenizer.known(phonemes)
        return known.strip()

    def sound(self, phonemes: str, voice: str, speed: float, sign: StopSign) -> Samples:
        """A piece as sound, (n,), 24 kHz.

        Args:
            phonemes: What ``pieces`` gave.
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


def _cut(sentence: str) -> Iterator[str]:
    """A sentence in pieces of at most ``MOST_PHONEMES``, each but the last with the mark that it goes on."""
    while len(sentence) > MOST_PHONEMES:
        ends = (list(breath.finditer(sentence, LEAST_PHONEMES, MOST_PHONEMES)) for breath in _BREATHS)
        end = next((found[-1].end() for found in ends if found), MOST_PHONEMES)
        yield sentence[:end].rstrip() + _CUT
        sentence = sentence[end:]
    yield sentence


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
    for piece in pieces(text):
        for phonemes in model.pieces(" ".join(piece.text.split()), language):
            yield model.sound(phonemes.rstrip(_CUT), voice, speed, sign)
            if not piece.ends_inside_word and not phonemes.endswith(_CUT):
                yield silence(closing_pause_s(phonemes, speed), RATE_HZ)
