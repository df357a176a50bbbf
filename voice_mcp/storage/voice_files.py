"""The files of a voice that a setting names: a model that was installed, or a file and what lies next to it."""

from __future__ import annotations

from pathlib import Path

from voice_mcp.errors import EngineMissing
from voice_mcp.storage.models import Models

_STYLES = "voices*.bin"
_NETWORK, _DESCRIPTION = ".onnx", ".onnx.json"


def kokoro_files(models: Models, name_or_path: str) -> tuple[Path, Path]:
    """The network and the voices of Kokoro.

    Args:
        models: What is installed.
        name_or_path: A model of the catalogue, or a network; its voices lie next to it, in the one ``voices*.bin``.

    Raises:
        EngineMissing: They are not there; the hint is what brings them.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        beside = sorted(path.parent.glob(_STYLES))
        if len(beside) != 1:
            hint = f"Put one file of voices there, and call it {_STYLES}."
            raise EngineMissing(f"There are {len(beside)} files {_STYLES} next to {path}.", hint=hint)
        return path, beside[0]
    files = models.installed(name_or_path)
    if len(files) != 2 or not files[1].match(_STYLES):
        raise _another(name_or_path, "Kokoro", "VOICEMODE_KOKORO_MODEL")
    return files[0], files[1]


def piper_file(models: Models, name_or_path: str) -> Path:
    """The network of a voice of piper; its description lies next to it.

    Args:
        models: What is installed.
        name_or_path: A model of the catalogue, the name of a voice that somebody put into the folder of models, or a
            network.

    Raises:
        EngineMissing: It is not there; the hint is what brings it.
    """
    path = Path(name_or_path).expanduser()
    own = models.folder / f"{name_or_path}{_NETWORK}"
    for candidate in (path, own):
        if candidate.is_file():
            return candidate
    files = models.installed(name_or_path)
    if not files[-1].name.endswith(_DESCRIPTION):
        raise _another(name_or_path, "piper", "VOICEMODE_PIPER_VOICE")
    return files[0]


def model_of(models: Models, network: Path) -> str | None:
    """The model of the catalogue whose network lies, or would lie, at that path; None for a file of the user's own."""
    place = network.absolute()
    names = (model.name for model in models.catalogue if models.folder / model.files[0].file == place)
    return next(names, None)


def _another(name: str, engine: str, setting: str) -> EngineMissing:
    hint = f"Set {setting} to one that is: `voice-mcp models list` names them."
    return EngineMissing(f"The model {name} is not one that {engine} speaks with.", hint=hint)
