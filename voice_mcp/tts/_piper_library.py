"""piper-tts, and the network it runs: a text to sound, a sentence at a time. Thread: the engine's.

The library would bring every sentence to the same peak; it is told not to: a quiet one stays as quiet as the voice
says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.samples.convert import Samples, as_samples

LIBRARY = "piper"
INSTALL_HINT = "Run `pip install 'voice-mcp[piper]'`."


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, spoken."""

    phonemes: str
    samples: Samples
    """(n,), at the voice's rate."""


def is_there() -> bool:
    """Whether the library is installed; it is not loaded to see that."""
    return find_spec(LIBRARY) is not None


class PiperModel:
    """A network, loaded.

    Args:
        path: An ONNX file; its description lies next to it.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            from piper import PiperVoice, SynthesisConfig
        except ImportError as exc:
            raise EngineMissing("piper-tts is not installed.", hint=INSTALL_HINT) from exc
        try:
            # What it might fetch would go to this folder; nothing is asked of it that it would fetch anything for.
            self._voice: Any = PiperVoice.load(path, download_dir=path.parent)
        except Exception as exc:  # the runtime has a tree of its own, and says it in many ways
            hint = f"Run `voice-mcp models remove {path.stem}` and `voice-mcp models install {path.stem}`."
            raise EngineError(f"{path.name} is not a voice that piper can use.", hint=hint) from exc
        self._manner: Any = SynthesisConfig

    def sentences(self, text: str, speaker: int | None, speed: float) -> Iterator[Sentence]:
        """A text as sound.

        Args:
            text: What espeak-ng can be given.
            speaker: Whose number, where there are several; None for the first.
            speed: 2.0 is twice as fast as the voice speaks by itself.
        """
        length = self._voice.config.length_scale / speed
        manner = self._manner(speaker_id=speaker, length_scale=length, normalize_audio=False)
        for chunk in self._voice.synthesize(text, manner):
            yield Sentence("".join(chunk.phonemes), as_samples(chunk.audio_float_array))
