"""The settings as the library uses them: those of the environment, and what the caller wants otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from voice_mcp.errors import DeviceUnavailable, InvalidInput
from voice_mcp.offline import refuse_the_network
from voice_mcp.parts import link_config
from voice_mcp.playback.link import LinkConfig
from voice_mcp.settings import Settings, load_settings

logger = logging.getLogger(__name__)


def load(**wanted: Any) -> Settings:
    """The settings of the environment, with what is ``wanted`` in place of theirs; None leaves theirs.

    Raises:
        SettingsError: They cannot be used.
    """
    loaded = load_settings(given={name: value for name, value in wanted.items() if value is not None})
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    settings = loaded.settings
    if settings.offline:
        refuse_the_network()
    return settings


def refuse_files(settings: Settings, instead: str) -> None:
    """Where the settings want sound in files, nothing can be heard.

    Raises:
        InvalidInput: They do; the hint is to do ``instead``.
    """
    if settings.audio_output == "file":
        raise InvalidInput("VOICEMODE_AUDIO_OUTPUT=file: nothing is to be heard.", hint=f"{instead}.")


@contextmanager
def told_for_programs(instead: str) -> Iterator[None]:
    """Where no device can be opened, say what a program can do ``instead``: the usual hint is the server's."""
    try:
        yield
    except DeviceUnavailable as exc:
        hint = f"{instead}; VOICEMODE_AUDIO_OUTPUT=null takes the time and makes no sound."
        raise DeviceUnavailable(exc.message, hint=hint) from exc


def own_link_config(settings: Settings, *, ahead_s: float | None = None, block_bytes: int) -> LinkConfig:
    """How the audio process is to play what programs give it; None leaves a length to the settings."""
    config = link_config(settings)
    return replace(config, ahead_s=config.ahead_s if ahead_s is None else ahead_s, block_bytes=block_bytes)
