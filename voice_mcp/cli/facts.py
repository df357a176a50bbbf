"""What an event carries, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

IN_THE_MESSAGE = ("code", "reason")
"""What says in one word what a message says in a sentence."""


def facts_of(data: object) -> str:
    """The data of an event as a person reads it; what is not known by name is shown as ``name=value``.

    Other programs write the same files, so any value may be anything.
    """
    if not isinstance(data, Mapping):
        return ""
    said = "message" in data
    facts = [
        _fact(str(name), value)
        for name, value in data.items()
        if value is not None and not (said and name in IN_THE_MESSAGE)
    ]
    return ", ".join(filter(None, facts))


def _fact(name: str, value: Any) -> str:
    if isinstance(value, bool):
        yes, no = _BOOLEANS.get(name, (name, f"not {name}"))
        return yes if value else no
    phrase = _NUMBERS.get(name) if isinstance(value, int | float) else _TEXTS.get(name)
    return phrase(value) if phrase is not None else f"{name}={value}"


_BOOLEANS = {"interrupted": ("interrupted", ""), "success": ("", "failed"), "fatal": ("nothing more was said", "")}
"""What is said of yes and of no."""

_NUMBERS: Mapping[str, Callable[[float], str]] = {
    "at_s": lambda value: f"{value * 1000:.0f} ms after the call",
    "gap_s": lambda value: f"gap of {value * 1000:.0f} ms",
    "duration_s": lambda value: f"{value:.2f} s",
    "chars": lambda value: f"{value} characters",
    "underruns": lambda value: f"{value} gaps" if value > 1 else "1 gap" if value else "no gaps",
    "in_front": lambda value: f"{value} in front",
}

_TEXTS: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys(("engine", "tool", "status", "code", "message", "reason"), str),
    "voice": lambda value: f"voice {value}",
    "from": lambda value: f"from {value}",
    "to": lambda value: f"to {value}",
}
