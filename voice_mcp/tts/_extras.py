"""Libraries that only an extra brings: whether they are there, and what to say when they are not."""

from __future__ import annotations

from importlib.util import find_spec

from voice_mcp.errors import EngineMissing


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
