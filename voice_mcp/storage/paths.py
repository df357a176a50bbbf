"""Where everything the product keeps has its place."""

from __future__ import annotations

import re
from pathlib import Path

from voice_mcp.errors import InvalidConversationId, StorageError
from voice_mcp.storage.daily import DailyFiles
from voice_mcp.storage.files import make_folder

_CONVERSATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVENTS_PREFIX = "voicemode_events"
_EXCHANGES_PREFIX = "exchanges"


class DataRoot:
    """The data root: ``audio/``, ``logs/events/`` and ``logs/conversations/`` below one folder.

    Nothing is made until something is written. The root may be a link; below it no link is followed out of it.
    """

    def __init__(self, base_dir: Path) -> None:
        self.path = base_dir.expanduser().absolute()

    @property
    def audio(self) -> Path:
        """The folder of the recordings, one folder per conversation in it."""
        return self.path / "audio"

    def audio_dir(self, conversation_id: str) -> Path:
        """The folder of one conversation's recordings; ``make`` it before writing.

        Raises:
            InvalidConversationId: It could not be a folder's name.
        """
        if not is_conversation_id(conversation_id):
            raise InvalidConversationId("The conversation ID holds other characters than are allowed, or is too long.")
        return self.audio / conversation_id

    def event_files(self, moved_to: Path | None = None) -> DailyFiles:
        """The event log's files; ``moved_to`` is the folder VOICEMODE_EVENT_LOG_DIR names."""
        if moved_to is not None:
            folder = moved_to.expanduser().absolute()
            return DailyFiles(folder, _EVENTS_PREFIX, root=folder)
        return DailyFiles(self.path / "logs" / "events", _EVENTS_PREFIX, root=self.path)

    def exchange_files(self) -> DailyFiles:
        """The conversation log's files."""
        return DailyFiles(self.path / "logs" / "conversations", _EXCHANGES_PREFIX, root=self.path)

    def make(self, folder: Path) -> Path:
        """Make a folder below the root, and the root, each 0700; returns it.

        Raises:
            StorageError: It cannot be made, or a link leads out of the root.
        """
        make_folder(self.path, folder)
        return folder

    def relative(self, path: Path) -> str:
        """``path`` as records name it: from the root, with forward slashes.

        Raises:
            StorageError: It lies outside the root.
        """
        try:
            return path.absolute().relative_to(self.path).as_posix()
        except ValueError as exc:
            raise StorageError(f"{path} does not lie in the data folder {self.path}.") from exc

    def locate(self, relative: str) -> Path:
        """The file a record names; the opposite of ``relative``.

        Raises:
            StorageError: It leads out of the root: whoever wrote the record may have meant harm.
        """
        path = self.path / relative
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise StorageError(f"{relative} leads out of the data folder {self.path}.")
        return path


def is_conversation_id(text: str) -> bool:
    """Whether ``text`` can be a conversation's ID: 1 to 64 ASCII letters, digits, underscores and hyphens."""
    return _CONVERSATION_ID.fullmatch(text) is not None
