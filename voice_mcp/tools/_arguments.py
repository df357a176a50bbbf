"""What an agent is told when its arguments are not what a tool takes: what is wrong, never the value itself."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from voice_mcp.errors import InvalidInput

WANTED = {"float": "a number", "int": "a whole number", "bool": "true or false", "string": "text"}
"""What pydantic's error types, as in ``float_parsing``, say of what was wanted."""


def bad_arguments(tool_name: str, exc: ValidationError) -> InvalidInput:
    """A validation error in one sentence."""
    problems = "; ".join(dict.fromkeys(_problem(error) for error in exc.errors(include_url=False, include_input=False)))
    return InvalidInput(f"{tool_name} cannot be called like this: {problems}.")


def _problem(error: Any) -> str:
    name, kind = error["loc"][0] if error["loc"] else "an argument", error["type"]
    if kind == "missing":
        return f"{name} is missing"
    wanted = WANTED.get(kind.partition("_")[0])
    return f"{name} must be {wanted}" if wanted else f"{name} has a value it cannot have"
