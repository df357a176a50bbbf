"""What is counted over all the devices that one run of sound went through."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voice_mcp.types import PlaybackEvent, PlaybackEventType

ONCE = (PlaybackEventType.STARTED, PlaybackEventType.FIRST_AUDIO)
"""What can happen to a run of sound only once, however often it begins anew."""


@dataclass(frozen=True, slots=True)
class Held:
    """How much sound was held ahead of the ear while more was due, over some frames."""

    mean_s: float
    least_s: float
    frames: int

    def and_then(self, later: Held) -> Held:
        """Both together."""
        frames = self.frames + later.frames
        mean_s = (self.mean_s * self.frames + later.mean_s * later.frames) / frames if frames else later.mean_s
        return Held(mean_s, min(self.least_s, later.least_s), frames)


class Account:
    """Turns what each device reports into what is true of the whole."""

    def __init__(self) -> None:
        self._told: set[PlaybackEventType] = set()
        self.told_frames = 0
        """How many frames have left, as far as was told."""
        self._underruns = 0
        self._inserted_s = 0.0
        self._held_before: Held | None = None
        self._held_here: Held | None = None
        self._began_at_frame = 0

    def begin_anew(self, frame: int) -> None:
        """Another device goes on with this frame."""
        self._held_before, self._held_here = self._held(), None
        self._began_at_frame = frame

    def go_back(self, frame: int) -> None:
        """What was told from this frame on is to be told again."""
        self.told_frames = min(self.told_frames, frame)

    def take(self, event: PlaybackEvent) -> PlaybackEvent | None:
        """Count an event; return it as it is told, or None where it says nothing new.

        Args:
            event: What a device reported, its frames already counted from the beginning of the whole.
        """
        kind = event.type
        self._measure(event)
        if kind is PlaybackEventType.POSITION and event.frames <= self.told_frames:
            return None
        if kind in self._told and kind in ONCE:
            return None
        if kind is PlaybackEventType.UNDERRUN:
            self._underruns += 1
            self._inserted_s += event.gap_s
        self._told.add(kind)
        self.told_frames = max(self.told_frames, event.frames)
        return self.closed(event) if kind is PlaybackEventType.ENDED else event

    def closed(self, event: PlaybackEvent) -> PlaybackEvent:
        """An end, with what was counted until then."""
        held = self._held()
        return replace(
            event,
            underruns=self._underruns,
            inserted_s=self._inserted_s,
            buffer_mean_s=held.mean_s if held is not None else None,
            buffer_least_s=held.least_s if held is not None else None,
        )

    def _measure(self, event: PlaybackEvent) -> None:
        if event.buffer_mean_s is not None and event.buffer_least_s is not None:
            frames = max(0, event.frames - self._began_at_frame)
            self._held_here = Held(event.buffer_mean_s, event.buffer_least_s, frames)

    def _held(self) -> Held | None:
        if self._held_before is None or self._held_here is None:
            return self._held_before or self._held_here
        return self._held_before.and_then(self._held_here)
