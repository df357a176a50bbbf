"""What is known of weights before they are here: which files, from where, and how to know that they are the ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """What a model is for."""

    LISTENING = "listening"
    TURN = "turn"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model."""

    file: str
    """Its name in the folder."""
    size_bytes: int
    sha256: str
    address: str
    """Where it is fetched from."""


@dataclass(frozen=True, slots=True)
class Model:
    """Weights that belong together."""

    name: str
    """What a person calls it."""
    purpose: Purpose
    files: tuple[WeightFile, ...]
    """What stands for the model first."""
    licence: str
    about: str
    """What it is for, in a few words."""

    @property
    def size_bytes(self) -> int:
        """Of all of it."""
        return sum(file.size_bytes for file in self.files)
