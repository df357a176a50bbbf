"""What is ours among what lies in the data folder: real folders and files, by names the product gives."""

from __future__ import annotations

import math
import stat
from pathlib import Path

from voice_mcp.storage.files import is_link, list_folder
from voice_mcp.storage.paths import DataRoot, is_conversation_id


def conversation_folders(root: DataRoot) -> list[Path]:
    """The folders of recordings, one a conversation."""
    if not is_own(root.path, root.audio):
        return []
    return [path for path in list_folder(root.audio) if is_conversation_id(path.name) and is_own(root.audio, path)]


def is_own(root: Path, folder: Path) -> bool:
    """Whether ``folder`` is a real folder, reached from ``root`` over real folders."""
    parts = [folder, *folder.parents]
    below = parts[: parts.index(root)]
    return folder.is_dir() and not any(is_link(path) for path in below)


def is_file(path: Path, changed_before_s: float = math.inf) -> bool:
    """Whether ``path`` is a file and no link, last changed before a moment in seconds since 1970."""
    try:
        status = path.lstat()
    except FileNotFoundError:  # another process removed it
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime < changed_before_s
