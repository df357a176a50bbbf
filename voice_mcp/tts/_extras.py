"""What comes with an extra or by command: whether it is there, and what to say when it is not, or is damaged."""

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


def mending(model: str | None, setting: str) -> str:
    """What to do about files that are damaged.

    Args:
        model: The model of the catalogue that brings them; None where they are the user's own.
        setting: Names the user's own.
    """
    if model is None:
        return f"Replace it with a good copy, or point {setting} to another."
    return f"Run `voice-mcp models install {model}`: it checks the files and fetches anew what is damaged."
