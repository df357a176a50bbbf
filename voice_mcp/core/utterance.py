"""One utterance as it is put on record: its events in order, its audio, its line in the conversation log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from voice_mcp.clock import Clock
from voice_mcp.core.conversation import new_utterance_id
from voice_mcp.errors import StorageError
from voice_mcp.events import Event, EventSink, EventType
from voice_mcp.storage.conversation_log import ConversationLog, Exchange
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recording, Recordings
from voice_mcp.types import PcmFormat


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


@dataclass(slots=True)
class _Track:
    """The frames of one recording that were sent and have not been confirmed as played."""

    recording: Recording
    fmt: PcmFormat
    pending: deque[bytes] = field(default_factory=deque)


class Utterance(Trail):
    """One thing that is said, from the call to its record."""

    def __init__(self, archive: Archive, conversation_id: str) -> None:
        super().__init__(archive, conversation_id, new_utterance_id())
        self.began = archive.clock.utc()
        self.audio_path: Path | None = None
        self._mark = archive.journal.mark()
        self._problems: list[str] = []
        self._track: _Track | None = None

    @property
    def keeps_audio(self) -> bool:
        """Whether what is played is also recorded."""
        return self._archive.keeps_audio

    async def reserve_file(self) -> Path | None:
        """A new file in the conversation's folder; None, and a problem on record, when there can be none."""
        try:
            path = await asyncio.to_thread(self._archive.recordings.reserve, self.conversation_id, "tts")
        except StorageError as exc:
            self._problems.append(f"The audio could not be kept: {exc.message}")
            return None
        self.audio_path = self.audio_path or path
        return path

    async def start_track(self, fmt: PcmFormat) -> None:
        """Record what is played from here on."""
        path = await self.reserve_file()
        if path is not None:
            self._track = _Track(self._archive.recordings.start(path, fmt), fmt)

    def sent(self, frames: bytes) -> None:
        """Frames are on their way to the device."""
        if self._track is not None:
            self._track.pending.append(frames)

    def played(self, frames: int) -> None:
        """So many frames of the track have been played by now; what was sent and never played is not recorded."""
        track = self._track
        if track is None:
            return
        due = (frames - track.recording.frames) * track.fmt.frame_bytes
        while due > 0 and track.pending:
            block = track.pending.popleft()
            if len(block) > due:
                track.pending.appendleft(block[due:])
                block = block[:due]
            track.recording.append(block)
            due -= len(block)

    def end_track(self) -> None:
        """The track is over."""
        if self._track is not None:
            self._track.recording.close()
            self._track = None

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

    def problems(self) -> list[str]:
        """What could not be kept, one sentence each."""
        lost = [failure.message for failure in self._archive.journal.failures(since=self._mark)]
        return self._problems + lost
