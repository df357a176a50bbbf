"""What `voice-mcp doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing."""

    name: str
    state: State
    detail: str
    hint: str = ""
    """The command or the setting that mends it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part of speaking, or of listening."""

    checks: tuple[Check, ...]
    works: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    checks: tuple[Check, ...]
    problem: str | None
    """Why speaking cannot work; None when it can."""
    deaf: tuple[str, ...] = ()
    """Why nobody can be listened to, half a sentence each; nothing when somebody can."""

    @property
    def can_speak(self) -> bool:
        """Whether something can speak and its sound can go somewhere."""
        return self.problem is None

    @property
    def verdict(self) -> str:
        """All of it, in a sentence each for speaking and for listening."""
        speaking = "Speaking works." if self.problem is None else f"Speaking cannot work: {self.problem}"
        listening = f"Listening does not: {', and '.join(self.deaf)}." if self.deaf else "Listening works."
        return f"{speaking} {listening}"
