"""What was lowered so that an agent can be heard, on disk: whoever lives puts it back.

run/ducking/lowered.json          which sounds, and how loud they were
run/ducking/5f3a….here            somebody wants it so; locked while his process lives
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from voice_mcp.storage.files import list_folder, open_private, storage_errors, write_all
from voice_mcp.storage.locking import locked
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.presence import Presence, is_present
from voice_mcp.types import LoweredStream

_WAIT_S = 2.0


class LoweredFile:
    """A ``LoweredRecord`` below the data root.

    Args:
        root: The data root.
    """

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        self._folder = root.path / "run" / "ducking"
        self._mine: Presence | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        self._root.make(self._folder)
        with locked(self._folder, _WAIT_S):
            yield

    def want(self) -> None:
        if self._mine is None:
            with storage_errors("Other programs are not lowered"):
                self._mine = Presence.make(self._folder / f"{secrets.token_hex(8)}.here")

    def want_no_more(self) -> None:
        mine, self._mine = self._mine, None
        if mine is not None:
            mine.remove()

    def is_wanted(self) -> bool:
        return any([is_present(path) for path in list_folder(self._folder) if path.suffix == ".here"])

    def read(self, server: str) -> list[LoweredStream]:
        try:
            record = json.loads((self._folder / "lowered.json").read_bytes())
            if record["server"] != server:
                return []
            return [
                LoweredStream(int(one["index"]), str(one["key"]), tuple(one["before"]), tuple(one["lowered"]))
                for one in record["streams"]
            ]
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it was cut short: nothing is known
            return []

    def write(self, server: str, streams: Sequence[LoweredStream]) -> None:
        path, draft = self._folder / "lowered.json", self._folder / "lowered.json.new"
        record = {"server": server, "streams": [asdict(stream) for stream in streams]}
        with storage_errors("What is lowered could not be remembered"):
            fd = open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                write_all(fd, json.dumps(record).encode())
            finally:
                os.close(fd)
            os.replace(draft, path)
