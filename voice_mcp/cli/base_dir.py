"""The data folder, for commands that a key is bound to: they cannot wait for pydantic to read all the settings."""

from __future__ import annotations

import os

_NAME = "VOICEMODE_BASE_DIR"
_DEFAULT = "~/.voicemode"
_FILES = (".env", "~/.voicemode/voicemode.env")


def base_dir() -> str:
    """Where everything is kept, as the settings say.

    Only where a file sets it are they read in full.

    Raises:
        SettingsError: They have to be, and cannot be used.
    """
    given = next((value for name, value in os.environ.items() if name.upper() == _NAME and value), None)
    if given is None and any(map(_may_set_it, _FILES)):
        from voice_mcp.settings import load_settings

        given = str(load_settings().settings.base_dir)
    return os.path.abspath(os.path.expanduser(given or _DEFAULT))


def _may_set_it(file: str) -> bool:
    try:
        with open(os.path.expanduser(file), "rb") as opened:
            return _NAME.encode() in opened.read().upper()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # the settings know how to say what is wrong with it
