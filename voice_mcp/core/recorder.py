"""The recording of what is heard, while it is heard: nobody who listens ever waits for a disk."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from voice_mcp.core.utterance import Archive
from voice_mcp.errors import StorageError
from voice_mcp.storage.recordings import Recording
from voice_mcp.types import LISTENING_FORMAT

RESERVATION_S = 1.0
"""How long the end waits for the file, which was asked for at the beginning."""
LAST_RESORT_S = 5.0
"""The same where the recording is all there is of what was said, and how long it may take to be written."""


class Recorder:
    """One recording of a user's turn, in ``LISTENING_FORMAT``.

    Args:
        archive: Where recordings are kept.
        conversation_id: Whose.
    """

    def __init__(self, archive: Archive, conversation_id: str) -> None:
        self._archive = archive
        self._waiting: list[bytes] = []
        self._recording: Recording | None = None
        self._closed = False
        self._mark = archive.journal.mark()
        reserve = archive.recordings.reserve
        self._reservation = asyncio.create_task(asyncio.to_thread(reserve, conversation_id, "stt"), name="reservation")
        self._reservation.add_done_callback(lambda _: self._begin())

    def add(self, frames: bytes) -> None:
        """Add the next frames. Returns at once."""
        if self._recording is not None:
            self._recording.append(frames)
        else:
            self._waiting.append(frames)

    async def close(self, *, is_last_resort: bool = False) -> Path:
        """Complete the file; where it is.

        Args:
            is_last_resort: Whether it is all there is of what was said: it is then waited for until it is written.

        Raises:
            StorageError: There is none.
        """
        try:
            async with asyncio.timeout(LAST_RESORT_S if is_last_resort else RESERVATION_S):
                await asyncio.shield(self._reservation)
        except TimeoutError as exc:
            self._closed = True
            raise StorageError("The recording could not be kept: its folder is locked by another process.") from exc
        self._begin()
        assert self._recording is not None
        self._recording.close()
        if is_last_resort:
            await asyncio.to_thread(self._see_it_written, self._recording.path)
        return self._recording.path

    async def discard(self) -> None:
        """Nothing is to be kept: give the number back."""
        self._waiting.clear()
        with contextlib.suppress(StorageError):
            await self.close()  # a recording without a frame leaves no file

    def _see_it_written(self, path: Path) -> None:
        journal = self._archive.journal
        journal.flush(LAST_RESORT_S)
        if not path.exists():
            raise StorageError(" ".join(failure.message for failure in journal.failures(since=self._mark)))

    def _begin(self) -> None:
        done = self._reservation
        if self._recording is not None or done.cancelled() or done.exception() is not None:
            return
        if self._closed:
            self._archive.recordings.release(done.result())
            return
        self._recording = self._archive.recordings.start(done.result(), LISTENING_FORMAT)
        for frames in self._waiting:
            self._recording.append(frames)
        self._waiting.clear()
