"""What an agent is told when its arguments are not what a tool takes: what is wrong, never the value itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from voice_mcp.errors import InvalidInput

WANTED = {"float": "a number", "int": "a whole number", "bool": "true or false", "string": "text"}
"""What pydantic's error types, as in ``float_parsing``, say of what was wanted."""
CHOICE, UNKNOWN = "literal_error", "extra_forbidden"
"""Pydantic's error types for a value that is none of a few, and for an argument nobody knows."""


def bad_arguments(tool_name: str, exc: ValidationError, takes: Sequence[str]) -> InvalidInput:
    """A validation error in one sentence.

    Args:
        tool_name: The tool.
        exc: What is wrong.
        takes: The names of its arguments. One that it does not take is not repeated, as no value is.
    """
    errors = exc.errors(include_url=False, include_input=False)
    problems = list(dict.fromkeys(_problem(error) for error in errors if error["type"] != UNKNOWN))
    if not problems:
        problems = [f"it takes {', '.join(takes)}, and nothing else"]
    return InvalidInput(f"{tool_name} cannot be called like this: {'; '.join(problems)}.")


def _problem(error: Any) -> str:
    name, kind = error["loc"][0] if error["loc"] else "an argument", error["type"]
    if kind == "missing":
        return f"{name} is missing"
    wanted = error["ctx"]["expected"] if kind == CHOICE else WANTED.get(kind.partition("_")[0])
    return f"{name} must be {wanted}" if wanted else f"{name} has a value it cannot have"
