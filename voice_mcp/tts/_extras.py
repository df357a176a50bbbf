"""Libraries that only an extra brings: whether they are there, and what to say when they are not."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from voice_mcp.errors import EngineMissing

Mend = Callable[[Path], str]
"""What brings a file that is damaged or missing: a hint for an error."""


def put_another(path: Path) -> str:
    """The hint where nobody knows more of a file."""
    return f"Put the right file there: {path}"


def is_there(module: str) -> bool:
    """Whether it is installed; it is not loaded to see that."""
    return find_spec(module) is not None


def not_there(package: str, extra: str) -> EngineMissing:
    """The error that says so.

    Args:
        package: What cannot be imported.
        extra: What brings it.
    """
    return EngineMissing(f"{package} is not installed.", hint=f"Run `pip install 'voice-mcp[{extra}]'`.")
