"""Piper's voices on the disk: a network and its description, ``NAME.onnx`` and ``NAME.onnx.json``.

The description is read here, without the library. A voice that learnt from several speakers has a name for each of
them: ``en_GB-vctk-medium+p225``; the voice's own name is its first speaker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.tts._extras import mending

ENDING, DESCRIPTION_ENDING = ".onnx", ".onnx.json"
SPEAKER_MARK = "+"
SETTING = "VOICEMODE_PIPER_VOICE"
_READ_BY = ("espeak", "text")
"""How a voice's text is read: by espeak-ng, or letter by letter. What reads Chinese, Japanese and Thai for piper comes
from elsewhere, in part while it speaks, and is not for here."""


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """What a description says."""

    name: str
    path: Path
    """The network."""
    rate_hz: int
    language: str
    """BCP 47, or empty."""
    speakers: Mapping[str, int] = field(default_factory=dict)
    """By name, where there are several."""

    @property
    def names(self) -> list[str]:
        """Everybody who can be asked for."""
        return [self.name, *(f"{self.name}{SPEAKER_MARK}{speaker}" for speaker in self.speakers)]


def read_voice(path: Path, model: str | None = None) -> PiperVoice:
    """What is said of the network ``path``.

    Args:
        path: The network.
        model: The model of the catalogue that brings it; None where it is the user's own.

    Raises:
        EngineMissing: A file is not there.
        EngineError: Its description cannot be used.
    """
    described = path.with_name(path.stem + DESCRIPTION_ENDING)
    try:
        facts = json.loads(described.read_bytes())
    except FileNotFoundError as exc:
        brought = f"Run `voice-mcp models install {model}`."
        hint = brought if model else "A voice of piper is two files; put it next to the other."
        raise EngineMissing(f"{described.name} is not there.", hint=hint) from exc
    except (OSError, ValueError) as exc:
        raise _of_no_use(described, model) from exc
    try:
        read_by = facts.get("phoneme_type", "espeak")
        voice = PiperVoice(path.stem, path, int(facts["audio"]["sample_rate"]), _language(facts), _speakers(facts))
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise _of_no_use(described, model) from exc
    if read_by not in _READ_BY:
        raise EngineError(f"The voice {path.stem} reads its text with {read_by}, which is not supported.")
    return voice


def voices_in(folder: Path) -> list[PiperVoice]:
    """The voices that can be used in a folder, by name."""
    voices = []
    for path in sorted(folder.glob(f"*{DESCRIPTION_ENDING}")):
        network = path.with_name(path.name.removesuffix(".json"))
        try:
            if network.is_file():
                voices.append(read_voice(network))
        except EngineError:  # it is told of when somebody asks for it
            continue
    return voices


def _language(facts: Mapping[str, Any]) -> str:
    code = facts.get("language", {}).get("code") or facts.get("espeak", {}).get("voice", "")
    return str(code).replace("_", "-")


def _speakers(facts: Mapping[str, Any]) -> dict[str, int]:
    count = int(facts.get("num_speakers", 1))
    if count <= 1:
        return {}
    named = {str(name): int(number) for name, number in facts.get("speaker_id_map", {}).items()}
    return named or {str(number): number for number in range(count)}


def _of_no_use(described: Path, model: str | None) -> EngineError:
    hint = mending(model, SETTING)
    return EngineError(f"{described.name} is not the description of a voice of piper.", hint=hint)
