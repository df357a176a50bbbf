"""Who is in Kokoro's file of voices, and what they speak: looked up without numpy, the model or its library.

The file is a zip archive with an array a voice. A voice's first letter is its language and its second whether it is a
woman's or a man's, as in ``af_heart``. Japanese and Chinese voices are left out: they learnt from sounds that another
program writes, and what espeak-ng writes for them is not that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from voice_mcp.errors import EngineError, EngineMissing

RATE_HZ = 24_000
DEFAULT_VOICE = "af_heart"
"""The voice its makers rate best."""

_PATTERN = re.compile("([a-z])([fm])(?:_|$)")
_ENTRY = ".npy"


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language."""

    espeak: str
    """What espeak-ng calls it."""
    tag: str
    """BCP 47."""


_TONGUES = {
    "a": Tongue("en-us", "en-US"),
    "b": Tongue("en-gb", "en-GB"),
    "e": Tongue("es", "es"),
    "f": Tongue("fr-fr", "fr-FR"),
    "h": Tongue("hi", "hi"),
    "i": Tongue("it", "it"),
    "p": Tongue("pt-br", "pt-BR"),
}
_SEXES = {"f": "female", "m": "male"}


def tongue_of(voice: str) -> Tongue | None:
    """What a voice speaks; None for those that cannot be used. A name of another kind (a mixture) speaks English."""
    match = _PATTERN.match(voice)
    return _TONGUES.get(match[1]) if match else _TONGUES["a"]


def description_of(voice: str) -> str:
    """What the name tells of it."""
    match = _PATTERN.match(voice)
    return f"{_SEXES[match[2]]}, neural" if match else "neural"


def voices_in(path: Path, hint: str) -> list[str]:
    """The voices in a file that can be used.

    Args:
        path: The file.
        hint: What to do where it is not there, or damaged.

    Raises:
        EngineMissing: It is not there.
        EngineError: It is no file of voices.
    """
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(_ENTRY) for name in archive.namelist() if name.endswith(_ENTRY)]
    except FileNotFoundError as exc:
        raise EngineMissing(f"{path.name} is not there.", hint=hint) from exc
    except (OSError, BadZipFile) as exc:
        raise EngineError(f"{path.name} is not a file of voices for Kokoro.", hint=hint) from exc
    return sorted(name for name in names if tongue_of(name) is not None)
