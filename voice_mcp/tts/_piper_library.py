"""piper-tts, and the network it runs: a text to sound, a sentence at a time. Thread: the engine's.

The library would bring every sentence to the same peak; it is told not to: a quiet one stays as quiet as the voice
says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples, to_frames
from voice_mcp.tts._espeak_text import closing_pause_s, pieces
from voice_mcp.tts._extras import not_there
from voice_mcp.tts._onnx_runs import StoppableSession, StopSign
from voice_mcp.tts._own_speed import in_time, own_speed, silence

ROUNDED_UP = 0.55
"""Steps that rounding up adds to a phoneme: half a one, and a little, for none can be shorter than one. Measured with
the voice joe: asked for twice its speed, it speaks 1.59 times as fast."""
_DOUBLED = re.compile(r"\[(?=\[)")
"""Piper would take what stands between two brackets for phonemes."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, spoken."""

    phonemes: str
    samples: Samples
    """(n,), at the voice's rate."""
    speed: float
    """How fast that really is."""


class PiperModel:
    """A network, loaded.

    Args:
        path: An ONNX file; its description lies next to it.
        hint: What to do where it cannot be used.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The file cannot be used.
    """

    def __init__(self, path: Path, hint: str) -> None:
        try:
            from piper import PiperVoice, SynthesisConfig
        except ImportError as exc:
            raise not_there("piper-tts", "piper") from exc
        try:
            # What it might fetch would go to this folder; nothing is asked of it that it would fetch anything for.
            self._voice: Any = PiperVoice.load(path, download_dir=path.parent)
        except Exception as exc:  # the runtime has a tree of its own, and says it in many ways
            raise EngineError(f"{path.name} is not a voice that piper can use.", hint=hint) from exc
        self._session = self._voice.session = StoppableSession(self._voice.session)
        self._manner: Any = SynthesisConfig

    def sentences(self, text: str, speaker: int | None, speed: float, sign: StopSign) -> Iterator[Sentence]:
        """A text as sound.

        Args:
            text: What espeak-ng can be given.
            speaker: Whose number, where there are several; None for the first.
            speed: What the network is asked for: 2.0 is twice as fast as the voice speaks by itself.
            sign: Stops it.
        """
        config = self._voice.config
        manner = self._manner(speaker_id=speaker, length_scale=config.length_scale / speed, normalize_audio=False)
        chunks = iter(self._voice.synthesize(text, manner))
        while (chunk := self._next(chunks, sign)) is not None:
            samples = as_samples(chunk.audio_float_array)
            steps = len(samples) / config.hop_length / max(1, len(chunk.phoneme_ids))
            yield Sentence("".join(chunk.phonemes), samples, real_speed(speed, steps))

    def _next(self, chunks: Iterator[Any], sign: StopSign) -> Any:
        self._session.sign = sign  # other texts have had their turn since
        return next(chunks, None)


def real_speed(asked: float, steps: float) -> float:
    """How fast a sentence really is: the network rounds each length up, so a quick one is less quick than it should be.

    Args:
        asked: What the network was asked for.
        steps: How many steps of the network (256 frames) a phoneme lasts in it, on average.
    """
    return asked + (1.0 - asked) * min(1.0, ROUNDED_UP / steps) if steps > 0 else asked


def blocks(
    model: PiperModel, text: str, speaker: int | None, rate_hz: int, speed: float, sign: StopSign
) -> Iterator[bytes]:
    """A text as frames in flight, sentence by sentence, each followed by its pause.

    Args:
        model: Who speaks.
        text: Clean, as ``_espeak_text`` has it: espeak-ng is given only what it survives.
        speaker: As in ``sentences``.
        rate_hz: The voice's.
        speed: 0.25 to 4.0.
        sign: Stops it.
    """
    own = own_speed(speed)
    for piece in pieces(text):
        for sentence in model.sentences(_DOUBLED.sub("[ ", piece.text), speaker, own, sign):
            yield from in_time([sentence.samples], rate_hz, speed / sentence.speed)
            if not piece.ends_inside_word:
                yield to_frames(silence(closing_pause_s(sentence.phonemes, speed), rate_hz))
