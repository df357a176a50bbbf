"""Pocket TTS on the disk: a folder as its makers publish one for each language, looked at without the library.

In it are ``model.safetensors``, ``tokenizer.json`` and ``embeddings/NAME.safetensors``, a voice each; a model of one's
own has a ``config.yaml`` as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voice_mcp.errors import EngineMissing

DEFAULT_VOICE = "alba"
"""The voice its makers give where nobody was asked for."""
RATE_HZ = 24_000
_PUBLISHED = "kyutai/pocket-tts-without-voice-cloning"
"""Where its makers publish it, on their hub."""

_WEIGHTS, _TOKENIZER, _CONFIG, _VOICES = "model.safetensors", "tokenizer.json", "config.yaml", "embeddings"
_LANGUAGES = "languages"
_ENDING = ".safetensors"
_TAGS = {
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "portuguese": "pt",
    "spanish": "es",
    "dutch": "nl",
}


@dataclass(frozen=True, slots=True)
class PocketFolder:
    """A model and its voices."""

    path: Path

    @property
    def language(self) -> str:
        """Its name as the library has it: that of the folder."""
        return self.path.name

    @property
    def tag(self) -> str:
        """BCP 47, or empty."""
        return _TAGS.get(self.language.partition("_")[0], "")

    @property
    def config(self) -> Path | None:
        """Its own description; None where it is one that the library knows."""
        own = self.path / _CONFIG
        return own if own.is_file() else None

    def mending(self, *, anew: bool = False) -> str:
        """What to do where something is missing or damaged.

        Args:
            anew: Whether files that are there already are to be replaced.
        """
        other = "or set VOICEMODE_POCKET_MODEL to another folder."
        if self.config is not None or self.path.parent.name != _LANGUAGES:
            return f"Replace it with a good copy, {other}" if anew else f"Put it there, {other}"
        wanted = f'--include "{_LANGUAGES}/{self.language}/*" --local-dir "{self.path.parent.parent}"'
        force = " --force-download" if anew else ""
        return f"Run `hf download {_PUBLISHED} {wanted}{force}`, {other}"

    def check(self) -> None:
        """See that all is there that it needs.

        Raises:
            EngineMissing: It is not.
        """
        for name in (_WEIGHTS, _TOKENIZER):
            if not (self.path / name).is_file():
                raise EngineMissing(f"There is no {name} of Pocket TTS in {self.path}.", hint=self.mending())
        if not self.voices():
            raise EngineMissing(f"There is no voice of Pocket TTS in {self.path / _VOICES}.", hint=self.mending())

    def voices(self) -> list[str]:
        """Who can speak."""
        return sorted(path.stem for path in (self.path / _VOICES).glob(f"*{_ENDING}"))

    def voice(self, name: str) -> Path:
        """Where a voice is."""
        return self.path / _VOICES / f"{name}{_ENDING}"
