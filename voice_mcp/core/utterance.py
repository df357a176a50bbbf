"""One utterance as it is put on record: its events in order, its audio, its line in the conversation log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from voice_mcp.clock import Clock
from voice_mcp.core.conversation import new_utterance_id
from voice_mcp.errors import StorageError
from voice_mcp.events import Event, EventSink, EventType
from voice_mcp.storage.conversation_log import ConversationLog, Exchange
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recording, Recordings
from voice_mcp.types import PcmFormat

JOURNAL_S = 0.05
"""How long the end of an utterance waits for its record to be written, to tell whether it was."""
RESERVATION_S = 1.0
"""How long it waits for the recording's file, which was asked for when it began."""
PAST_S = 5.0
"""How much of what was played is remembered, in case it is played again: a long word, and what a device may hold."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Where records go, and which are kept."""

    clock: Clock
    events: EventSink
    journal: Journal
    root: DataRoot
    recordings: Recordings
    conversations: ConversationLog | None
    """None when the conversation log is off."""
    keeps_audio: bool
    keeps_transcripts: bool
    project_path: str | None


class EventTrail(Protocol):
    """Whoever is told what happens while something is spoken."""

    def event(self, event_type: EventType, data: Mapping[str, Any] | None = None) -> None:
        """This happened, now."""
        ...


class Trail:
    """The events of one call, with times that never run backwards.

    What the audio process saw is known here a little later than it happened; such an event keeps its place in the row
    and carries its own time in the data.
    """

    def __init__(self, archive: Archive, conversation_id: str, utterance_id: str | None) -> None:
        self.conversation_id = conversation_id
        self.utterance_id = utterance_id
        self._archive = archive
        self._last: datetime | None = None

    def event(self, event_type: EventType, data: Mapping[str, Any] | None = None, *, at_s: float | None = None) -> None:
        """Tell the event log.

        Args:
            event_type: What happened.
            data: What else there is to say.
            at_s: When, on the clock of ``Clock.now``, if it was not now.
        """
        moment = self._archive.clock.utc(at_s)
        if self._last is not None:
            moment = max(moment, self._last)
        self._last = moment
        self._archive.events(Event(moment, event_type, self.conversation_id, self.utterance_id, dict(data or {})))


class _Track:
    """One recording of what is played: frames wait here until the audio process says that they were.

    The file is reserved beside the speech, which never waits for a disk or for another process's lock.
    """

    def __init__(self, archive: Archive, conversation_id: str, fmt: PcmFormat) -> None:
        self._archive = archive
        self._fmt = fmt
        self._pending: deque[bytes] = deque()
        self._past: deque[bytes] = deque()
        self._past_frames = 0
        self._due: deque[bytes] = deque()
        self._at_frame = 0
        self._recording: Recording | None = None
        self._closed = False
        self.reservation = asyncio.create_task(_reserve(archive, conversation_id), name="reservation")
        self.reservation.add_done_callback(lambda _: self._write_what_is_due())

    def sent(self, frames: bytes) -> None:
        """Frames are on their way to the device."""
        self._pending.append(frames)

    def played(self, frames: int) -> None:
        """What was sent has been played up to this frame; what never was is not recorded."""
        while self._pending and self._at_frame < frames:
            block, size = self._pending.popleft(), (frames - self._at_frame) * self._fmt.frame_bytes
            if len(block) > size:
                self._pending.appendleft(block[size:])
                block = block[:size]
            self._at_frame += self._fmt.frames(len(block))
            self._due.append(block)
            self._remember(block)
        self._write_what_is_due()

    def go_back(self, frame: int) -> None:
        """What was played from this frame on is played once more, and recorded once more."""
        while self._past and self._at_frame > frame:
            block = self._past.pop()
            frames = self._fmt.frames(len(block))
            again = min(frames, self._at_frame - frame)
            if again < frames:
                self._past.append(block[: -again * self._fmt.frame_bytes])
            self._pending.appendleft(block[-again * self._fmt.frame_bytes :])
            self._at_frame -= again
            self._past_frames -= again

    def _remember(self, block: bytes) -> None:
        self._past.append(block)
        self._past_frames += self._fmt.frames(len(block))
        while (spare := self._past_frames - self._fmt.frames_in(PAST_S)) > 0:
            if self._fmt.frames(len(self._past[0])) > spare:
                return
            self._past_frames -= self._fmt.frames(len(self._past.popleft()))

    def close(self) -> Path | None:
        """The track is over; where its sound is, if there was any."""
        self._write_what_is_due()  # the file may just have been reserved, with nobody told yet
        self._closed = True
        self._pending.clear()
        self._due.clear()
        if self._recording is None:
            return None
        self._recording.close()
        return self._recording.path if self._recording.frames else None

    def _begin(self) -> None:
        reservation = self.reservation
        if reservation.done() and not reservation.cancelled() and reservation.exception() is None:
            self._recording = self._archive.recordings.start(reservation.result(), self._fmt)

    def _write_what_is_due(self) -> None:
        if self._recording is None and not self._closed:
            self._begin()
        if self._recording is None or self._closed:
            return
        while self._due:
            self._recording.append(self._due.popleft())


class Utterance(Trail):
    """One thing that is said, from the call to its record."""

    def __init__(self, archive: Archive, conversation_id: str) -> None:
        super().__init__(archive, conversation_id, new_utterance_id())
        self.began = archive.clock.utc()
        self.audio_path: Path | None = None
        """Where the sound is, once there is some."""
        self._mark = archive.journal.mark()
        self._problems: list[str] = []
        self._track: _Track | None = None
        self._written_elsewhere: Path | None = None

    @property
    def keeps_audio(self) -> bool:
        """Whether what is played is also recorded."""
        return self._archive.keeps_audio

    @property
    def audio_format(self) -> str:
        """The format recordings are kept in."""
        return self._archive.recordings.audio_format

    async def reserve_for_audio_process(self) -> Path:
        """A new file for the audio process to write.

        Raises:
            StorageError: There can be none.
        """
        self._give_back()
        reservation = asyncio.create_task(_reserve(self._archive, self.conversation_id))
        try:
            self._written_elsewhere = await asyncio.shield(reservation)
        except asyncio.CancelledError:
            reservation.add_done_callback(self._release_when_reserved)
            raise
        return self._written_elsewhere

    def start_track(self, fmt: PcmFormat) -> None:
        """Record what is played from here on, unless the audio process does."""
        if self._written_elsewhere is None:
            self._track = _Track(self._archive, self.conversation_id, fmt)

    def sent(self, frames: bytes) -> None:
        """Frames are on their way to the device."""
        if self._track is not None:
            self._track.sent(frames)

    def played(self, frames: int) -> None:
        """The utterance has been played up to this frame."""
        if self._track is not None:
            self._track.played(frames)

    def went_back(self, frame: int) -> None:
        """It is played again from this frame on."""
        if self._track is not None:
            self._track.go_back(frame)

    async def close_audio(self, *, anything_played: bool) -> None:
        """The sound is over: complete its recording, and give back a file in which there is nothing."""
        track, self._track = self._track, None
        if track is not None:
            await self._finish(track)
        elif self._written_elsewhere is not None and anything_played:
            self.audio_path = self._written_elsewhere
        else:
            self._give_back()

    async def _finish(self, track: _Track) -> None:
        try:
            async with asyncio.timeout(RESERVATION_S):
                await asyncio.shield(track.reservation)
        except StorageError as exc:
            self._problems.append(f"The audio could not be kept: {exc.message}")
        except TimeoutError:
            self._problems.append("The audio could not be kept: its folder is locked by another process.")
            track.reservation.add_done_callback(self._release_when_reserved)
        self.audio_path = track.close()

    def _give_back(self) -> None:
        path, self._written_elsewhere = self._written_elsewhere, None
        if path is not None:
            self._archive.recordings.release(path)

    def _release_when_reserved(self, reservation: asyncio.Task[Path]) -> None:
        if not reservation.cancelled() and reservation.exception() is None:
            self._archive.recordings.release(reservation.result())

    def record(self, text: str, duration_s: float, metadata: Mapping[str, Any]) -> None:
        """Write the line of the conversation log, and the transcript if it is to be kept."""
        archive = self._archive
        if archive.keeps_transcripts and self.audio_path is not None:
            archive.recordings.save_transcript(self.audio_path, text)
        elif archive.keeps_transcripts:
            archive.recordings.save_transcript_alone(self.conversation_id, "tts", text)
        if archive.conversations is None:
            return
        audio = self.audio_path
        archive.conversations.append(
            Exchange(
                timestamp=self.began,
                conversation_id=self.conversation_id,
                utterance_id=self.utterance_id or "",
                type="tts",
                text=text,
                audio_file=archive.root.relative(audio) if audio is not None else None,
                duration_ms=round(duration_s * 1000),
                project_path=archive.project_path,
                metadata=dict(metadata),
            )
        )

    async def problems(self) -> list[str]:
        """What could not be kept, one sentence each; waits a moment for what is still being written."""
        journal = self._archive.journal
        await asyncio.to_thread(journal.flush, JOURNAL_S)
        return self._problems + [failure.message for failure in journal.failures(since=self._mark)]


async def _reserve(archive: Archive, conversation_id: str) -> Path:
    return await asyncio.to_thread(archive.recordings.reserve, conversation_id, "tts")
