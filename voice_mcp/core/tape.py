"""What a microphone heard, found again by when it was heard.

    ░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒│██████████████████████▶
     forgotten       lately  mark: all of it is kept

Only the last moment is remembered until somebody marks a place: then everything from there on is kept, and the last
moment before it too, for the first syllable comes before anybody can be sure that it is one.
"""

from __future__ import annotations

from collections.abc import Iterator

from voice_mcp.types import LISTENING_FORMAT, CapturedSound

LATELY_S = 0.5
"""What is remembered of the time before a mark, in seconds."""
_SLACK_BYTES = 1 << 16
"""How much may lie before what is remembered until it is thrown away: two seconds."""


class Tape:
    """The sound of one open microphone, in ``LISTENING_FORMAT``. Frames are counted from its opening."""

    def __init__(self) -> None:
        self._sound = bytearray()
        self._first = 0
        self._origin_s: float | None = None
        self._mark: int | None = None
        self._gaps: list[tuple[int, int]] = []

    @property
    def first(self) -> int:
        """The number of the first frame that is not forgotten."""
        return self._first

    @property
    def end(self) -> int:
        """The number of the frame that comes next."""
        return self._first + LISTENING_FORMAT.frames(len(self._sound))

    def add(self, sound: CapturedSound) -> None:
        """Take what comes next."""
        begin = self.end
        # The newest is right: what the first was told with may have been late, and clocks run apart.
        self._origin_s = sound.at_s - LISTENING_FORMAT.seconds(begin)
        self._sound += sound.frames
        if sound.lost:
            self._gaps.append((begin, self.end))
        self._forget()

    def frame_at(self, moment_s: float) -> int:
        """The number of the frame that was heard at a moment, on the clock of ``Clock.now``; never before the first."""
        if self._origin_s is None:
            return 0
        return max(0, LISTENING_FORMAT.frames_in(moment_s - self._origin_s))

    def moment(self, frame: int) -> float:
        """When a frame was heard."""
        return (self._origin_s or 0.0) + LISTENING_FORMAT.seconds(frame)

    def mark(self, frame: int) -> None:
        """Keep everything from the last moment before ``frame`` on, as far as it is still there: see ``first``."""
        self._mark = frame

    def unmark(self) -> None:
        """Nobody needs more than the last moment."""
        self._mark = None
        self._forget()

    def read(self, start: int, end: int | None = None) -> bytes:
        """The frames from number ``start`` up to number ``end`` (all there are, if None), without what is forgotten."""
        size = LISTENING_FORMAT.frame_bytes
        stop = None if end is None else max(0, end - self._first) * size
        return bytes(self._sound[max(0, start - self._first) * size : stop])

    def heard(self, start: int, end: int) -> Iterator[bytes]:
        """The frames from ``start`` up to ``end`` that were really heard, without what is only filled in."""
        at = start
        for first, last in self._gaps:
            if last <= at or first >= end:
                continue
            if at < first:
                yield self.read(at, first)
            at = last
        if at < end:
            yield self.read(at, end)

    def after_heard(self, start: int, count: int) -> int:
        """The number of the frame with which ``count`` frames have really been heard from ``start`` on."""
        frame = start + count
        for first, last in self._gaps:
            if start < last and first < frame:
                frame += last - max(first, start)
        return frame

    @property
    def lost_s(self) -> float:
        """Seconds that were filled in because the microphone was gone."""
        return LISTENING_FORMAT.seconds(sum(last - first for first, last in self._gaps))

    def _forget(self) -> None:
        keep_from = self.end if self._mark is None else min(self._mark, self.end)
        spare = (keep_from - LISTENING_FORMAT.frames_in(LATELY_S) - self._first) * LISTENING_FORMAT.frame_bytes
        if spare > _SLACK_BYTES:
            del self._sound[:spare]
            self._first += LISTENING_FORMAT.frames(spare)
