"""Who it is that speaks: one agent is told from another by a voice and a place that it has each time it comes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.protocols import Roll


@dataclass(frozen=True, slots=True)
class Character:
    """What an agent is told by."""

    voice: str | None = None
    """The voice it has when it asks for none; None leaves it to what everybody prefers."""
    seat: int | None = None
    """Which of the seats is its own; None where all sit at one place."""


class Agent:
    """The agent of this connection: the client program, and the project it works in.

    Args:
        project_path: The folder it works in.
        voices: What it may get for a voice of its own; with none it gets none.
        seats: How many seats there are; with none it gets none.
        roll: The agents that run now, so that no two are alike as long as there is enough for all.
    """

    def __init__(self, project_path: str, voices: Sequence[str], seats: int, roll: Roll) -> None:
        self.client = ""
        """The client's name, once it has said it."""
        self._project_path = project_path
        self._voices = tuple(dict.fromkeys(voices))
        self._seats = seats
        self._roll = roll
        self._character: Character | None = None if self._voices or seats else Character()

    @property
    def name(self) -> str:
        """What stands for this agent in every process, and tells nothing about it."""
        return hashlib.sha256(f"{self._project_path}\0{self.client}".encode("utf-8", "replace")).hexdigest()[:16]

    async def character(self) -> Character:
        """What it is told by; chosen when it first speaks, and kept."""
        if self._character is None:
            self._character = await asyncio.to_thread(self._choose)
        return self._character

    def _choose(self) -> Character:
        voice = self._voices[self._roll.choose("voice", self.name, len(self._voices))] if self._voices else None
        return Character(voice, self._roll.choose("seat", self.name, self._seats) if self._seats else None)
