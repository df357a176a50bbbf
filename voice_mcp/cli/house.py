"""What most commands begin with: the settings, and the words for what is wrong with them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voice_mcp.app import App, log_everything
from voice_mcp.cli.output import warn
from voice_mcp.offline import refuse_the_network
from voice_mcp.settings import LoadedSettings, Settings, load_settings
from voice_mcp.storage.conversation_log import ConversationLog
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot


def read_settings() -> Settings:
    """The settings; what is odd about them is told on standard error.

    Raises:
        SettingsError: They cannot be used.
    """
    loaded = load_settings()
    prepare_process(loaded)
    for warning in loaded.warnings:
        warn(warning)
    return loaded.settings


def prepare_process(loaded: LoadedSettings) -> None:
    """What the settings ask of the process as a whole: what it logs, and whether it may reach other machines."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="voice-mcp: %(message)s")
    if loaded.settings.debug:
        log_everything()
    if loaded.settings.offline:
        refuse_the_network()


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[App]:
    """A house that is closed afterwards, whatever happens.

    Raises:
        SettingsError: The settings contradict each other.
    """
    app = App(settings)
    try:
        yield app
    finally:
        await asyncio.shield(app.aclose())


def conversation_log(settings: Settings) -> tuple[ConversationLog, DataRoot]:
    """The conversation log for reading, and the folder its audio files are named from."""
    root = DataRoot(settings.base_dir)
    return ConversationLog(root.exchange_files(), Journal()), root
