"""What an event carries, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voice_mcp.cli.first_audio import milliseconds_text, stages_of, stages_text
from voice_mcp.cli.numbers import number_of

IN_THE_MESSAGE = ("code", "reason")
"""What says in one word what a message says in a sentence."""


def facts_of(data: object) -> str:
    """The data of an event as a person reads it; what is not known by name is shown as ``name=value``.

    Other programs write the same files, so any value may be anything.
    """
    if not isinstance(data, Mapping):
        return ""
    data = _with_one_first_audio(data)
    said = "message" in data
    facts = [
        _fact(str(name), value)
        for name, value in data.items()
        if value is not None and not (said and name in IN_THE_MESSAGE)
    ]
    return ", ".join(filter(None, facts))


def _with_one_first_audio(data: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The time to first audio and its stages become one fact, where both can be read."""
    total_ms, stages = number_of(data.get("ttfa_ms")), stages_of(data.get("ttfa"))
    if total_ms is None or stages is None:
        return data
    whole = {name: value for name, value in data.items() if name != "ttfa"}
    terms = stages_text(total_ms, stages)
    return whole | {"ttfa_ms": f"ttfa {milliseconds_text(total_ms)} ms" + (f" = {terms}" if terms else "")}


def _fact(name: str, value: Any) -> str:
    if isinstance(value, bool):
        yes, no = _BOOLEANS.get(name, (name, f"not {name}"))
        return yes if value else no
    phrase = _NUMBERS.get(name) if isinstance(value, int | float) else _TEXTS.get(name)
    return phrase(value) if phrase is not None else f"{name}={value}"


_BOOLEANS = {
    "interrupted": ("interrupted", ""),
    "success": ("", "failed"),
    "fatal": ("given up", ""),
    "asked": ("", "nobody was asked"),
    "cached": ("from the cache", ""),
    "sent": ("", "nothing was sent"),
}
"""What is said of yes and of no."""

_NUMBERS: Mapping[str, Callable[[float], str]] = {
    "at_s": lambda value: f"{value * 1000:.0f} ms after the call",
    "gap_s": lambda value: f"gap of {value * 1000:.0f} ms",
    "duration_s": lambda value: f"{value:.2f} s",
    "sound_s": lambda value: f"{value:.2f} s of sound",
    "speech_s": lambda value: f"{value:.2f} s of speech",
    "took_ms": lambda value: f"{value:.0f} ms",
    "chars": lambda value: f"{value} characters",
    "underruns": lambda value: f"{value} gaps" if value > 1 else "1 gap" if value else "no gaps",
    "in_front": lambda value: f"{value} in front",
    "ttfa_ms": lambda value: f"ttfa {milliseconds_text(value)} ms",
    "inserted_s": lambda value: f"{value * 1000:.0f} ms of silence in them" if value else "",
    "buffer_mean_ms": lambda value: f"buffer {value:.0f} ms",
    "buffer_least_ms": lambda value: f"at least {value:.0f} ms",
    "pace": lambda value: f"{value:.1f} × real time",
    "decode_ms_per_s": lambda value: f"decoding {value:.1f} ms/s",
    "decode_errors": lambda value: f"{value} damaged" if value else "",
    "resumes": lambda value: f"{value} resumed" if value else "",
    "switches": lambda value: f"{value} switched" if value else "",
    "device_changes": lambda value: f"{value} device changes" if value > 1 else "1 device change" if value else "",
}

_TEXTS: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys(("engine", "model", "language", "tool", "status", "code", "message", "reason", "ttfa_ms"), str),
    "voice": lambda value: f"voice {value}",
    "output": lambda value: f"output {value}",
    "from": lambda value: f"from {value}",
    "to": lambda value: f"to {value}",
}
