"""When a sound device must have run dry by itself, told by when it asked for frames. Pure: it has no clock.

Frames taken, as time, less the time that has passed, is how far ahead of the ear the device is, but for a constant. A
device that asks late falls behind, and then takes more at once until it is as far ahead as ever. Where that never comes
back, the device has played silence that nobody counted:

    ahead ▔▔▔▔▔▔▔▔▔╲       usual level
                    ╲     ╱▔▔▔▔▔▔▔▔ a new usual level: the gap was as long as the step between the two
                     ╲   ╱
                      ╲▁╱  the late request; the way back up is what the device holds

A step without a fall of at least what the device holds is no gap: it is a sound server that takes frames at other
times than before, as it does when another client begins or ends.

Source: 26 takes of PortAudio over PulseAudio, on a quiet machine and on one with twice as much to do as it has cores,
beside what the card got. Of 103 gaps the device told of 70; with this they are 90, and none is invented. Of the rest
half were no longer than a period, and most others so near to another gap that they are counted with it. In 17 takes of
miniaudio over PulseAudio none of 76 gaps is noticed, nor one invented: of the 60 ms it tells it holds next to nothing
there, so that a gap looks like another client that begins. The constants were chosen on these very takes; on a machine
as busy, 14 utterances after that had 30 gaps, of which 26 were counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

LEARN_S = 0.25
"""A device fills its own buffers first, and unevenly: until then there is no usual level."""
USUAL_PULLS = 24
"""The usual level is that of so many requests: a quarter of a second, or three requests of 85 ms in periods."""
USUAL_SHARE = 0.75
"""How far up they lie: above every late one, but below the few that came early."""
SETTLE_S = 0.05
"""How long after its lowest moment a device is given to fill up."""
SETTLE_PULLS = 4
"""And how often it must have asked meanwhile; it asks as often at once when it was late."""
SAME_GAP_S = 0.25
"""A device may tell of a gap this late, or twice."""
LEAST_GAP_S = 0.008
"""Smaller steps are noise: a device's period is 10 ms, and it is early or late by parts of one."""
HELD_SHARE = 0.5
"""What a device holds at least, of the latency it tells: 20 to 40 ms were measured of 30 told."""


@dataclass(slots=True)
class _Fall:
    """A device has fallen behind, and it is not known yet whether it comes back."""

    usual_s: float
    lowest_s: float
    at_s: float
    in_sound: bool
    told_s: float | None = None
    """How much silence the device itself told of, about; None if it said nothing."""
    since_s: list[float] = field(default_factory=list)
    """The levels after the lowest."""


class Pulls:
    """The requests of one device, from its opening on, told in order.

    Args:
        rate_hz: Frames a second.
        latency_s: What the device says it holds, in seconds.
    """

    def __init__(self, rate_hz: int, latency_s: float) -> None:
        self._rate_hz = rate_hz
        self._latency_s = latency_s
        self._held_s = HELD_SHARE * latency_s
        self._taken_frames = 0
        self._began_s: float | None = None
        self._levels: deque[float] = deque(maxlen=USUAL_PULLS)
        self._fall: _Fall | None = None
        self._due_s: float | None = None  # a gap that became certain as the device told of another
        self._counted: _Fall | None = None  # that of the last gap counted

    def pulled(self, frames: int, now_s: float, *, in_sound: bool) -> float | None:
        """The device takes ``frames`` frames.

        Args:
            frames: How many.
            now_s: When, in seconds on any clock that never goes back.
            in_sound: Whether silence just before them would be a gap in a sound: others are not told of.

        Returns:
            The length in seconds of a gap that has become certain, a little later than it was heard.
        """
        if self._began_s is None:
            self._began_s = now_s
        level_s = self._level(now_s)
        self._settle(level_s, now_s)
        self._taken_frames += frames
        fall = self._fall
        if fall is None:
            if self._is_low(level_s, now_s):
                self._fall = _Fall(_usual(self._levels), level_s, now_s, in_sound)
            else:
                self._levels.append(level_s)
        elif level_s < fall.lowest_s:
            fall.lowest_s, fall.at_s, fall.in_sound = level_s, now_s, in_sound
            fall.since_s.clear()
        else:
            fall.since_s.append(level_s)
        gap_s, self._due_s = self._due_s, None
        return gap_s

    def told(self, now_s: float) -> float | None:
        """The device says that it ran dry: that gap is counted, and the step it leaves behind is not another one.

        Returns:
            About how long it was, in seconds; 0.0 where too little is known of the device, None for a gap that was
            counted before.
        """
        level_s = self._level(now_s)
        self._settle(level_s, now_s)
        fall = self._fall
        if self._is_counted(fall, level_s, now_s):
            return None
        if fall is None:
            if not self._levels:
                return 0.0
            fall = self._fall = _Fall(_usual(self._levels), level_s, now_s, in_sound=False)
        told_s = fall.told_s or 0.0
        gap_s = max(0.0, fall.usual_s - min(level_s, fall.lowest_s) - self._latency_s - told_s)
        fall.told_s = told_s + gap_s
        fall.lowest_s, fall.at_s = min(level_s, fall.lowest_s), now_s
        self._counted = fall
        return gap_s

    def _level(self, now_s: float) -> float:
        return self._taken_frames / self._rate_hz - (now_s - (now_s if self._began_s is None else self._began_s))

    def _is_counted(self, fall: _Fall | None, level_s: float, now_s: float) -> bool:
        """Whether the device tells of what is known: what was lost stays lost, so a new gap is lower than the last."""
        counted = self._counted
        if counted is None or now_s - counted.at_s > SAME_GAP_S:
            return False
        lowest_s = level_s if fall is None or fall is counted else min(level_s, fall.lowest_s)
        return lowest_s >= counted.lowest_s

    def _is_low(self, level_s: float, now_s: float) -> bool:
        if self._began_s is None or now_s - self._began_s < LEARN_S or len(self._levels) < SETTLE_PULLS:
            return False
        return level_s < _usual(self._levels) - self._held_s - LEAST_GAP_S

    def _settle(self, level_s: float, now_s: float) -> None:
        """End a fall that is over: the device had the time to fill up, or it falls again."""
        fall = self._fall
        if fall is None or len(fall.since_s) < SETTLE_PULLS - 1:
            return
        falls_again = level_s < max(fall.since_s) - self._held_s - LEAST_GAP_S
        if not falls_again and (now_s - fall.at_s < SETTLE_S or len(fall.since_s) < SETTLE_PULLS):
            return
        self._fall = None
        self._levels.clear()
        self._levels.extend(fall.since_s)
        gap_s = fall.usual_s - _usual(fall.since_s)
        fell_s = fall.usual_s - fall.lowest_s
        ran_dry = gap_s >= LEAST_GAP_S and fell_s >= max(self._latency_s, gap_s + self._held_s)
        if ran_dry and fall.in_sound and fall.told_s is None:
            self._due_s, self._counted = gap_s, fall


def _usual(levels_s: deque[float] | list[float]) -> float:
    ordered = sorted(levels_s)
    return ordered[int(USUAL_SHARE * len(ordered))]
