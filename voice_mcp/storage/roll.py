"""The roll of the agents that run: which voice and which seat each of them has, so that no two have the same.

run/agents/voice-2-9f86d081884c7d65-5f3a….here    an agent has the third voice; locked while its process lives
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from pathlib import Path

from voice_mcp.errors import StorageError
from voice_mcp.storage.files import list_folder
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.presence import Presence, is_present

logger = logging.getLogger(__name__)

_NAME = re.compile(r"([a-z]+)-(\d+)-([0-9a-f]{16})-[0-9a-f]+\.here")
_WAIT_S = 1.0
"""How long an agent waits for another that is just choosing."""


class RunningAgents:
    """A ``Roll`` that is a folder. Where the folder cannot be used, everybody gets what is first his.

    Args:
        root: The data root.
    """

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._folder = root.path / "run" / "agents"
        self._mine: list[Presence] = []

    def choose(self, what: str, agent: str, count: int) -> int:
        wanted = int(hashlib.sha256(f"{what}\\0{agent}".encode()).hexdigest(), 16) % count
        try:
            self._root.make(self._folder)
            with locked(self._folder, _WAIT_S):
                chosen = self._free(what, agent, count, wanted)
                path = self._folder / f"{what}-{chosen}-{agent}-{secrets.token_hex(4)}.here"
                self._mine.append(Presence.make(path))
        except (OSError, StorageError) as exc:
            logger.warning("Another agent may have the same %s: %s", what, exc)
            return wanted
        return chosen

    def close(self) -> None:
        """This process's agents are gone."""
        mine, self._mine = self._mine, []
        for presence in mine:
            presence.remove()

    def _free(self, what: str, agent: str, count: int, wanted: int) -> int:
        taken = {place: other for path in list_folder(self._folder) for place, other in _entry(path, what)}
        for place, other in taken.items():
            if other == agent and place < count:
                return place  # the same agent, in another window
        order = [(wanted + step) % count for step in range(count)]
        return next((place for place in order if place not in taken), wanted)


def _entry(path: Path, what: str) -> list[tuple[int, str]]:
    match = _NAME.fullmatch(path.name)
    if match is None or match[1] != what or not is_present(path):
        return []
    return [(int(match[2]), match[3])]
