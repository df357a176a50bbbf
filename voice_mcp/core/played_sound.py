"""What could be heard of the agent at any moment: the sound an echo canceller has to take out.

    Outlet ─ begin, frames, rest, events ─▶ PlayedSound ─ read(at_s, frames) ─▶ whoever listens at the same time

Frames are told of when they are handed over, seconds before they are heard; when they are heard the audio process tells
every 40 ms. What it tells lies within a millisecond of the truth most of the time, early by a period now and then, and
late on a busy machine, while sound itself runs evenly: so frames keep their distance from the first of a stretch, and
a stretch is moved only when the middle one of several reports asks for it. An echo canceller survives a wrong distance
better than one that changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median_high
from typing import Protocol

from voice_mcp.playback.passage import FrameConverter
from voice_mcp.types import LISTENING_FORMAT, PcmFormat, PlaybackEvent, PlaybackEventType

KEPT_S = 2.0
"""How long sound is kept after it was heard: nobody reads what is older."""
PAUSE_S = 0.04
"""A frame that is later than this by its report was held up: there was silence before it."""
MOVE_S = 0.004
"""How wrong a stretch may lie before it is moved."""
AHEAD_S = 0.15
"""How far beyond the newest report sound is taken to go on: that it came to a halt is told when it resumes."""
_REPORTS, _FIRST_REPORTS = 11, 3
_PAUSE_FRAMES, _MOVE_FRAMES, _AHEAD_FRAMES = map(LISTENING_FORMAT.frames_in, (PAUSE_S, MOVE_S, AHEAD_S))
_FRAME_BYTES = LISTENING_FORMAT.frame_bytes
_SILENT_BACKENDS = ("file",)

_ANCHORS = (PlaybackEventType.STARTED, PlaybackEventType.POSITION, PlaybackEventType.RESUMED)

MakeConverter = Callable[[PcmFormat, PcmFormat], FrameConverter]
"""Makes one: from which shape, to which."""


class PlaybackTap(Protocol):
    """Told everything about the sound of every utterance; returns at once."""

    def begin(self, fmt: PcmFormat) -> None:
        """Another run of frames begins, and takes the place of the one before it."""
        ...

    def write(self, frames: bytes) -> None:
        """The next frames of the run are about to be handed over."""
        ...

    def rest(self) -> None:
        """The sound may pause after the frames so far."""
        ...

    def take(self, event: PlaybackEvent) -> None:
        """Something happened to the sound of the run."""
        ...


@dataclass(slots=True)
class _Stretch:
    """Frames that are heard one after the other without a break, counted in ``LISTENING_FORMAT``."""

    first: int
    """The first of them, counted from the beginning of the run."""
    heard: int
    """When it is heard, in frames on the clock of ``Clock.now``."""
    end: int | None = None
    """The first that no longer belongs to it; None while it goes on."""


class _Run:
    """The frames of one run, and when they were heard."""

    def __init__(self, fmt: PcmFormat, converter: FrameConverter | None) -> None:
        self._fmt = fmt
        self._converter = converter
        self._sound = bytearray()
        self._dropped = 0  # frames that are no longer kept
        self._written = 0  # of the run's own format
        self._rests: deque[int] = deque(maxlen=16)
        self._told = 0  # how many frames had left by the newest report, in the run's own format
        self._stretches: deque[_Stretch] = deque()
        self._reports: deque[int] = deque(maxlen=_REPORTS)
        self._is_fresh = True  # whether the stretch stands where its first report put it
        self._next: int | None = 0  # where the next stretch begins, while there is none; None: nothing more is heard

    def write(self, frames: bytes) -> None:
        self._written += self._fmt.frames(len(frames))
        self._sound += self._converter.convert(frames) if self._converter is not None else frames

    def rest(self) -> None:
        self._rests.append(self._written)

    def take(self, event: PlaybackEvent) -> None:
        kind = event.type
        if kind in (PlaybackEventType.UNDERRUN, PlaybackEventType.LOST):
            self._break_off(self._here(event.frames))
        elif kind is PlaybackEventType.MOVED:
            self._break_off(self._here(event.frames))
            self._next = self._here(event.frames)
        elif kind is PlaybackEventType.ENDED:
            self._end(event.heard_frames)
        elif kind in _ANCHORS and event.heard_at_s > 0:
            self._anchor(event)

    def forget_before(self, moment: int) -> None:
        """Let go of what was heard before ``moment`` (frames on the clock)."""
        while len(self._stretches) > 1 and self._is_over(self._stretches[0], moment):
            self._stretches.popleft()
        if not self._stretches:
            return
        oldest = self._stretches[0]
        keep_from = max(oldest.first, oldest.first + moment - oldest.heard)
        count = min(keep_from - self._dropped, len(self._sound) // _FRAME_BYTES)
        if count > 0:
            del self._sound[: count * _FRAME_BYTES]
            self._dropped += count

    def give_way(self) -> None:
        """Another run begins: no more will be told of this one."""
        self._break_off(self._here(self._told))
        self._next = None

    def is_over(self, moment: int) -> bool:
        """Whether nothing of it is heard at ``moment`` or later."""
        return self._next is None and all(self._is_over(stretch, moment) for stretch in self._stretches)

    def mix_into(self, out: bytearray, moment: int) -> None:
        """Put what is heard of it from ``moment`` on into ``out``."""
        count = len(out) // _FRAME_BYTES
        for stretch in self._stretches:
            known = self._here(self._told) + _AHEAD_FRAMES if stretch.end is None else stretch.end
            end = min(known, self._dropped + len(self._sound) // _FRAME_BYTES)
            first = max(stretch.first, self._dropped, stretch.first + moment - stretch.heard)
            end = min(end, stretch.first + moment + count - stretch.heard)
            if first < end:
                at = (first - stretch.first + stretch.heard - moment) * _FRAME_BYTES
                size = (end - first) * _FRAME_BYTES
                start = (first - self._dropped) * _FRAME_BYTES
                out[at : at + size] = self._sound[start : start + size]

    # --- reports -----------------------------------------------------------------------------------------------

    def _anchor(self, event: PlaybackEvent) -> None:
        here, heard = self._here(event.frames), round(event.heard_at_s * LISTENING_FORMAT.rate_hz)
        stretch = self._open_stretch()
        if stretch is None:
            if self._next is not None:
                self._stretches.append(_Stretch(self._next, heard - (here - self._next)))
                self._next, self._is_fresh = None, True
                self._reports.clear()
        elif event.type is PlaybackEventType.POSITION and event.frames >= self._written:
            pass  # the last of what there is: it may have left long ago
        else:
            self._correct(stretch, here, heard - (here - stretch.first) - stretch.heard)
        self._told = max(self._told, event.frames)

    def _correct(self, stretch: _Stretch, here: int, late: int) -> None:
        """The frame ``here`` was heard ``late`` frames later than the stretch says."""
        if late > _PAUSE_FRAMES:
            begins = self._pause_before(here)
            self._break_off(begins)
            self._stretches.append(_Stretch(begins, stretch.heard + (begins - stretch.first) + late))
            self._next, self._is_fresh = None, True
            return
        self._reports.append(late)
        off = median_high(self._reports)  # of two the later one: a report is early by a period, or late by little
        if self._is_fresh:  # a device that was just opened takes more at once than it plays at once
            self._is_fresh = len(self._reports) < _FIRST_REPORTS
        elif len(self._reports) < _REPORTS or abs(off) <= _MOVE_FRAMES:
            return
        stretch.heard += off
        self._reports = deque((each - off for each in self._reports), _REPORTS)

    def _pause_before(self, here: int) -> int:
        """Where the silence was that held ``here`` up: where the writer rested, else after what was told before."""
        told = self._here(self._told)
        rests = [self._here(frame) for frame in self._rests]
        return next((frame for frame in reversed(rests) if told <= frame <= here), told)

    def _break_off(self, end: int) -> None:
        """Nothing from frame ``end`` on has been heard so far."""
        stretch = self._open_stretch()
        if stretch is not None:
            stretch.end = max(stretch.first, end)
            self._next = stretch.end
        self._reports.clear()

    def _end(self, heard_frames: int) -> None:
        if self._converter is not None:
            self._sound += self._converter.flush()
        stretch, end = self._open_stretch(), self._here(heard_frames)
        if stretch is not None:
            stretch.end = max(stretch.first, end)
        self._next = None

    # --- arithmetic --------------------------------------------------------------------------------------------

    def _open_stretch(self) -> _Stretch | None:
        return self._stretches[-1] if self._stretches and self._stretches[-1].end is None else None

    def _is_over(self, stretch: _Stretch, moment: int) -> bool:
        return stretch.end is not None and stretch.heard + stretch.end - stretch.first <= moment

    def _here(self, frame: int) -> int:
        """A frame of the run's own format, in ``LISTENING_FORMAT``."""
        return round(frame * LISTENING_FORMAT.rate_hz / self._fmt.rate_hz)


class PlayedSound:
    """A ``PlaybackTap`` that knows what could be heard when. Pure but for the converter; all on one thread.

    What was written into a file cannot be heard.

    Args:
        make_converter: For what is not in ``LISTENING_FORMAT``.
    """

    def __init__(self, make_converter: MakeConverter) -> None:
        self._make_converter = make_converter
        self._runs: deque[_Run] = deque()
        self._is_audible = False

    def begin(self, fmt: PcmFormat) -> None:
        if self._is_audible:
            self._runs[-1].give_way()
        converter = None if fmt == LISTENING_FORMAT else self._make_converter(fmt, LISTENING_FORMAT)
        self._runs.append(_Run(fmt, converter))
        self._is_audible = True

    def write(self, frames: bytes) -> None:
        if self._is_audible:
            self._runs[-1].write(frames)

    def rest(self) -> None:
        if self._is_audible:
            self._runs[-1].rest()

    def take(self, event: PlaybackEvent) -> None:
        if not self._is_audible:
            return
        if event.type in (PlaybackEventType.OPENED, PlaybackEventType.MOVED) and event.backend in _SILENT_BACKENDS:
            self._runs.pop()
            self._is_audible = False
            return
        self._runs[-1].take(event)
        self._forget(event.heard_at_s)

    def read(self, at_s: float, frames: int) -> bytes:
        """What could be heard from ``at_s`` on (the clock of ``Clock.now``): as many frames of ``LISTENING_FORMAT``.

        Zeros where nothing was heard, and where nothing is known yet.
        """
        out = bytearray(frames * _FRAME_BYTES)
        moment = round(at_s * LISTENING_FORMAT.rate_hz)
        for run in self._runs:
            run.mix_into(out, moment)
        return bytes(out)

    def _forget(self, now_s: float) -> None:
        if now_s <= 0:
            return
        moment = round((now_s - KEPT_S) * LISTENING_FORMAT.rate_hz)
        while len(self._runs) > 1 and self._runs[0].is_over(moment):
            self._runs.popleft()  # never the newest: what is still told belongs to it
        for run in self._runs:
            run.forget_before(moment)
