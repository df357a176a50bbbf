"""Voices from a folder: ``NAME.wav`` is how one sounds, ``NAME.txt`` what it says there.

Without an example CSM invents a voice for each text; ``0`` to ``9`` only keep the speakers of a dialogue apart. An
example of five to twenty seconds, read before every text, makes it go on in that voice.
"""

from __future__ import annotations

import wave
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError, UnknownVoice
from voice_mcp.tts._csm_loading import SAMPLES_A_SECOND

SPEAKERS = tuple(str(number) for number in range(10))
DEFAULT_VOICE = SPEAKERS[0]
LONGEST_EXAMPLE_S = 60.0
SHORTEST_EXAMPLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """How a named voice sounds, and what it says there. Equal as long as neither file changes."""

    name: str
    sound_path: Path
    text_path: Path
    stamps: tuple[int, int]
    """When the two were changed last, in nanoseconds."""

    def text(self) -> str:
        """What is said.

        Raises:
            EngineError: It cannot be read.
        """
        try:
            text = self.text_path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise _unusable(self.text_path, "it cannot be read as UTF-8") from exc
        if not text:
            raise _unusable(self.text_path, "it is empty")
        return text

    def samples(self) -> Any:
        """The sound, mono at 24 kHz, a float32 tensor (n,).

        Raises:
            EngineError: It cannot be read, or is too short or too long.
        """
        import torch

        try:
            with wave.open(str(self.sound_path), "rb") as file:
                rate_hz, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
                seconds = file.getnframes() / rate_hz
                if width == 2 and SHORTEST_EXAMPLE_S <= seconds <= LONGEST_EXAMPLE_S:
                    data = bytearray(file.readframes(file.getnframes()))
        except (OSError, EOFError, wave.Error, ZeroDivisionError) as exc:
            raise _unusable(self.sound_path, "it is not a WAV file of plain samples") from exc
        if width != 2:
            raise _unusable(self.sound_path, f"its samples have {8 * width} bits, not 16")
        if not SHORTEST_EXAMPLE_S <= seconds <= LONGEST_EXAMPLE_S:
            raise _unusable(
                self.sound_path, f"it lasts {seconds:.1f} s, not {SHORTEST_EXAMPLE_S} to {LONGEST_EXAMPLE_S} s"
            )
        whole = len(data) // (2 * channels) * channels
        samples = torch.frombuffer(data, dtype=torch.int16, count=whole).view(-1, channels).float().mean(dim=1) / 32768
        return _resampled(torch, samples, rate_hz)


class Voices:
    """Who can speak.

    Args:
        folder: Where named voices lie; None where there are none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Every voice: the speakers, then those with an example."""
        return [*SPEAKERS, *sorted(self._examples())]

    def knows(self, name: str) -> bool:
        """Whether there is one of that name, in any letter case."""
        return name in SPEAKERS or name.casefold() in map(str.casefold, self._examples())

    def choose(self, name: str) -> tuple[str, int, Example | None]:
        """A voice's name as it is written, its speaker's number, and its example if it has one.

        Raises:
            UnknownVoice: There is none of that name.
        """
        if name in SPEAKERS:
            return name, int(name), None
        for known, (sound_path, text_path) in self._examples().items():
            if known.casefold() == name.casefold():
                with suppress(OSError):  # taken away at this moment
                    stamps = (sound_path.stat().st_mtime_ns, text_path.stat().st_mtime_ns)
                    return known, 0, Example(known, sound_path, text_path, stamps)
        raise UnknownVoice(f"csm has no voice {name!r}.", hint=self._hint())

    def _examples(self) -> dict[str, tuple[Path, Path]]:
        """Both files of every name; the folder is looked at anew, so a new voice is there at once."""
        if self._folder is None or not self._folder.is_dir():
            return {}
        pairs = ((path, path.with_suffix(".txt")) for path in self._folder.glob("*.wav"))
        return {sound.stem: (sound, text) for sound, text in pairs if text.is_file() and sound.stem not in SPEAKERS}

    def _hint(self) -> str:
        if self._folder is None:
            return "Use 0 to 9, or set VOICEMODE_CSM_VOICES to a folder of NAME.wav and NAME.txt."
        return f"Use 0 to 9, or put NAME.wav and NAME.txt into {self._folder}."


def _unusable(path: Path, why: str) -> EngineError:
    return EngineError(
        f"{path.name} cannot be used as a voice: {why}.", hint="Use a 16-bit WAV file and its words in UTF-8."
    )


def _resampled(torch: Any, samples: Any, rate_hz: int) -> Any:
    """The same sound at 24 kHz, through its spectrum, which is exact but for the first and last moments."""
    if rate_hz == SAMPLES_A_SECOND:
        return samples
    count = round(samples.shape[0] * SAMPLES_A_SECOND / rate_hz)
    spectrum = torch.fft.rfft(samples)
    bins = count // 2 + 1
    kept = torch.zeros(bins, dtype=spectrum.dtype)
    shared = min(bins, spectrum.shape[0])
    kept[:shared] = spectrum[:shared]
    return torch.fft.irfft(kept, n=count) * (count / samples.shape[0])
