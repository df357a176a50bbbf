"""The player: frames in, decisions out. Pure: no clock, no thread, no device.

It owns the jitter buffer of one utterance and the rules of what the device gets. It must not know where frames come
from or what a device is.

        push          enough buffered            last frame left        latency played out
    FILLING ─────────────▶ PLAYING ───────────────▶ DRAINING ─────────────▶ ENDED
                            │   ▲                                             ▲
               buffer dry   ▼   │ enough again                                │
                            DRY ┘          stop(): STOPPING, a short fade ────┘
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from voice_mcp.playback.jitter import Jitter
from voice_mcp.playback.levels import Levels
from voice_mcp.types import PcmFormat, PlaybackEventType

GAP_FADE_S = 0.005
"""Length of the fades on both sides of a gap: long enough to hide the edge, too short to be heard as one."""
STOP_FADE_S = 0.008
"""Length of the fade when speech is stopped on purpose."""
NOISE_FLOOR = 104
"""Peak above which a frame counts as sound: -50 dBFS of a 16-bit sample."""
RUN_S = 20.0
"""How long sound is to go on after a gap: from a source slower than speech, so much is collected that it does."""
FULL_SHARE = 0.9
"""From this share of the most that may be held on, a source waits for the ear, and is not late."""


class PlayerState(StrEnum):
    """Where an utterance stands."""

    FILLING = "filling"
    PLAYING = "playing"
    DRY = "dry"
    STOPPING = "stopping"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PlayerEvent:
    """Something that happened to the sound while a block was rendered."""

    type: PlaybackEventType
    frame: int
    """Frames of the utterance that had left before this moment."""
    block_offset_frames: int
    """Where in the rendered block it happened."""
    gap_frames: int = 0
    """For UNDERRUN and RESUMED: frames of silence that were inserted."""


@dataclass(frozen=True, slots=True)
class BufferPolicy:
    """How much is collected before sound starts, and after the buffer ran dry."""

    start_s: float = 0.04
    """Seconds of audio to hold before the first frame leaves, and that the source may let pass before more comes."""
    rebuffer_s: float = 0.3
    """Seconds to hold after the first gap, at least; doubled for each further one."""
    most_s: float = 2.0
    """Never wait for more than this, in seconds."""


class Player:
    """The jitter buffer and state machine of one utterance.

    Thread: not safe by itself; whoever owns it serialises the calls. ``render`` never waits and never allocates more
    than a block.

    Args:
        fmt: The shape of the frames.
        policy: When to start and to start again.
        drain_frames: Frames of silence to give after the last frame, so that the device's own buffer plays out before
            the end is reported. May be set later through the attribute, once the device is open and its latency known.
    """

    def __init__(self, fmt: PcmFormat, policy: BufferPolicy | None = None, *, drain_frames: int = 0) -> None:
        policy = policy or BufferPolicy()
        self._fmt = fmt
        self._most_frames = max(1, fmt.frames_in(policy.most_s))
        self._least_frames = 1
        self._start_s = policy.start_s
        self._start_frames = self._bounded(fmt.frames_in(policy.start_s))
        self._rebuffer_s = policy.rebuffer_s
        self._full_s = FULL_SHARE * policy.most_s
        self._jitter = Jitter()
        self._held_then_s = 0.0  # after the last arrival
        self._last_arrival_s = 0.0
        self._levels = Levels()
        self._gap_fade_frames = fmt.frames_in(GAP_FADE_S)
        self._stop_fade_frames = fmt.frames_in(STOP_FADE_S)
        self._fading_in = array("f")  # gains still to be applied, one per frame; a fade may span several blocks
        self._fading_out = array("f")
        self._chunks: deque[memoryview] = deque()
        self._buffered_bytes = 0
        self._finished = False
        self._resting = self._renewed = False
        self._broke_off = False  # and sound has not gone on since
        self._heard_sound = False
        self._position_mark = 0
        self._position_step = max(1, fmt.frames_in(0.04))
        self.drain_frames = drain_frames
        self.state = PlayerState.FILLING
        self.played_frames = 0
        self.underruns = 0
        self.inserted_silence_frames = 0
        self.silent_frames = 0
        self.events: deque[PlayerEvent] = deque()

    @property
    def needs_device(self) -> bool:
        """Whether it waits for ``render``: sound or an end is due that only a device that asks for more can bring."""
        return self._buffered_bytes > 0 or self._finished

    @property
    def buffered_frames(self) -> int:
        """Frames held and not yet given to the device."""
        return self._buffered_bytes // self._fmt.frame_bytes

    @property
    def buffer_mean_frames(self) -> float | None:
        """Frames held after a block, on average while sound played and more was due; None if that never was."""
        return self._levels.mean_frames

    @property
    def buffer_least_frames(self) -> int | None:
        """The least that was held, likewise."""
        return self._levels.least_frames

    def push(self, data: bytes, now_s: float) -> None:
        """Take the next frames.

        Args:
            data: Whole frames.
            now_s: When they came, in seconds on any clock that never goes back.

        Raises:
            ValueError: ``data`` is not a whole number of frames.
        """
        if len(data) % self._fmt.frame_bytes:
            raise ValueError(f"{len(data)} bytes are no whole number of {self._fmt.frame_bytes}-byte frames")
        if data and not self._finished and self.state not in (PlayerState.STOPPING, PlayerState.ENDED):
            self._jitter.add(self._fmt.seconds(self._fmt.frames(len(data))), now_s, excused_s=self._excused_s())
            self._resting = self._renewed = False
            if self.state is PlayerState.PLAYING:
                self._broke_off = False  # it begins anew in time: a gap after this one is another matter
            self._chunks.append(memoryview(data))
            self._buffered_bytes += len(data)
            self._held_then_s = self._fmt.seconds(self.buffered_frames)
            self._last_arrival_s = now_s

    def fit_to_device(self, period_frames: int, latency_frames: int) -> None:
        """The device is open: it takes ``period_frames`` at a time, and holds ``latency_frames`` of what it took.

        Sound starts, and starts again, only when the first period can be filled and more is there, or it would run dry
        at once.
        """
        self._least_frames = period_frames + self._gap_fade_frames
        self._start_frames = self._bounded(self._start_frames)
        self.drain_frames = latency_frames + period_frames

    def rest(self) -> None:
        """Nothing more is due for now: what follows what is held is a pause between words, not a gap in them."""
        self._resting = True

    def renew(self) -> None:
        """The source broke off and begins anew: how late its next frames are says nothing of those after them."""
        self._renewed = self._broke_off = True

    def finish(self) -> None:
        """No more frames will come: play what is held, then end."""
        self._finished = True

    def stop(self) -> None:
        """Fade out at once and forget the rest."""
        if self.state is PlayerState.PLAYING:
            self.state = PlayerState.STOPPING
            if not self._fading_out:
                self._fading_out = _fade_out(min(self._stop_fade_frames, self.buffered_frames))
        elif self.state not in (PlayerState.STOPPING, PlayerState.ENDED):
            self._end(0)

    def cut(self) -> None:
        """End now, without a fade: the device is no longer there to play one."""
        self._end(0)

    @property
    def in_sound(self) -> bool:
        """Whether sound is under way, so that a device that runs dry now tears it."""
        return self.state is PlayerState.PLAYING and self.played_frames > 0

    def count_device_gap(self, gap_frames: int = 0, *, late: bool = False) -> None:
        """The device ran dry by itself: one gap that no fade could soften.

        Args:
            gap_frames: How long the silence was, about; 0 if nobody knows.
            late: It tore a sound some moments ago, and is noticed only now.
        """
        noticed = late and self.played_frames > 0 and self.state not in (PlayerState.STOPPING, PlayerState.ENDED)
        if noticed or self.in_sound:
            self.underruns += 1
            self.inserted_silence_frames += gap_frames
            self._emit(PlaybackEventType.UNDERRUN, 0, gap_frames=gap_frames)
            self._emit(PlaybackEventType.RESUMED, 0, gap_frames=gap_frames)

    def render(self, out: memoryview, now_s: float = math.inf) -> None:
        """Fill ``out`` with the next frames, and with silence where there are none.

        Shapes: ``out`` is a writable view of bytes, a whole number of frames long.

        Args:
            out: Where to.
            now_s: When, on the clock of ``push``.
        """
        wanted = len(out) // self._fmt.frame_bytes
        if self.state in (PlayerState.FILLING, PlayerState.DRY) and self._may_start(wanted, now_s):
            self._start()
        filled = 0
        if self.state is PlayerState.PLAYING:
            filled = self._play(out, wanted)
        elif self.state is PlayerState.STOPPING:
            filled = self._play_stop(out, wanted)
        if filled < wanted:
            self._silence(out, filled, wanted)

    def take(self, most_bytes: int) -> bytes:
        """The next frames there are, for a sink that keeps no time: no waiting to fill, no gaps.

        Shapes: at most ``most_bytes`` bytes of whole frames; empty when nothing is held.
        """
        if self.state in (PlayerState.STOPPING, PlayerState.ENDED):
            self._end(0)
            return b""
        frames = min(self.buffered_frames, most_bytes // self._fmt.frame_bytes)
        out = bytearray(frames * self._fmt.frame_bytes)
        if frames and self.state is PlayerState.FILLING:
            self.state = PlayerState.PLAYING
            self._emit(PlaybackEventType.STARTED, 0)
        self._copy(memoryview(out), frames)
        self._advance(memoryview(out), frames)
        if self._finished and not self._chunks:
            self._end(frames)
        return bytes(out)

    # --- decisions ---------------------------------------------------------------------------------------------

    def _may_start(self, wanted: int, now_s: float) -> bool:
        if self._finished or (self._resting and (self._chunks or self.state is PlayerState.DRY)):
            return True
        if self.state is PlayerState.DRY:
            return self.buffered_frames >= self._rebuffer_frames
        return self.buffered_frames >= self._start_frames and self._lasts(wanted, now_s)

    def _lasts(self, wanted: int, now_s: float) -> bool:
        """Whether blocks can be filled until the source, as late as it is taken to be, has sent more.

        What it is known to need may have come just before the device asks, or a whole block before.
        """
        blocks = max(0, self.buffered_frames - self._gap_fade_frames) // wanted
        return self._last_arrival_s + self._start_s <= now_s + blocks * self._fmt.seconds(wanted)

    def _start(self) -> None:
        if self.state is PlayerState.FILLING:
            if self._chunks and not self.played_frames:
                self._emit(PlaybackEventType.STARTED, 0)
        elif self._chunks:
            if self.silent_frames:
                self._count_gap()
            self._fading_in = _fade_out(self._gap_fade_frames)[::-1]
        self.state = PlayerState.PLAYING

    def _count_gap(self) -> None:
        """Only when sound goes on: silence with nothing after it was the end, not a gap between two sounds."""
        if not self._came_evenly:
            self._start_frames = self._rebuffer_frames  # whoever was late once need not be in time after a pause
            self._rebuffer_s *= 2
        self._broke_off = False
        self.underruns += 1
        self.inserted_silence_frames += self.silent_frames
        self._emit(PlaybackEventType.UNDERRUN, 0, gap_frames=self.silent_frames)
        self._emit(PlaybackEventType.RESUMED, 0, gap_frames=self.silent_frames)

    def _play(self, out: memoryview, wanted: int) -> int:
        frames, fade_at = min(self.buffered_frames, wanted), 0
        if self._fading_out:
            frames = min(frames, len(self._fading_out))
        elif not self._may_run_out and self.buffered_frames < wanted + self._gap_fade_frames:
            # Going dry has to be noticed a fade's length ahead: afterwards nothing is left to fade.
            self._fading_out = _fade_out(min(self._gap_fade_frames, self.buffered_frames))
            fade_at = max(0, frames - len(self._fading_out))
        going_dry = 0 < len(self._fading_out) <= frames - fade_at
        if going_dry:
            # Whoever bounds what is on the way must know exactly what has left, or both ends wait for the other.
            self._position_mark = self.played_frames
        self._fill(out, frames, fade_at)
        if not self._may_run_out:
            self._levels.add(self.buffered_frames)
        if going_dry:
            self.state = PlayerState.DRY
        elif not self._chunks and self._may_run_out:
            self.state = PlayerState.DRAINING if self._finished else PlayerState.FILLING
        return frames

    @property
    def _may_run_out(self) -> bool:
        return self._finished or self._resting

    @property
    def _rebuffer_frames(self) -> int:
        """Frames to collect after a gap, by what is known of the source by now."""
        measured = self._fmt.frames_in(self._jitter.reserve_for(RUN_S)) + self._least_frames
        return self._bounded(measured if self._came_evenly else max(self._fmt.frames_in(self._rebuffer_s), measured))

    @property
    def _came_evenly(self) -> bool:
        """Whether it was a break of the source that made this gap, and nothing worse is known of it."""
        return self._broke_off and self._jitter.pace is not None

    def _bounded(self, wanted_frames: int) -> int:
        return min(max(wanted_frames, self._least_frames), self._most_frames)

    def _excused_s(self) -> float:
        """How much of the time since the last arrival was the text's doing, or the ear's, which had no room."""
        no_room_s = self._held_then_s - self._full_s
        had_no_room = no_room_s > 0 and self._fmt.seconds(self.buffered_frames) >= self._full_s
        if self._resting or self._renewed or had_no_room:
            return math.inf
        return max(0.0, no_room_s)

    def _play_stop(self, out: memoryview, wanted: int) -> int:
        frames = min(wanted, len(self._fading_out))
        self._fill(out, frames, 0)
        if not self._fading_out:
            self._end(frames)
        return frames

    def _silence(self, out: memoryview, filled: int, wanted: int) -> None:
        start = filled * self._fmt.frame_bytes
        out[start:] = bytes(len(out) - start)
        self.silent_frames += wanted - filled
        if self.state is PlayerState.DRAINING and self.silent_frames >= self.drain_frames:
            self._end(wanted)

    def _end(self, block_offset: int) -> None:
        if self.state is not PlayerState.ENDED:
            self.state = PlayerState.ENDED
            self._chunks.clear()
            self._buffered_bytes = 0
            self._emit(PlaybackEventType.ENDED, block_offset)

    # --- frames ------------------------------------------------------------------------------------------------

    def _fill(self, out: memoryview, frames: int, fade_at: int) -> None:
        """Give ``frames`` frames: where a fade is due, in from the first one on, out from frame ``fade_at`` on."""
        self._copy(out, frames)
        self._fading_in = self._apply(out, 0, frames, self._fading_in)
        self._fading_out = self._apply(out, fade_at, frames, self._fading_out)
        self._advance(out, frames)

    def _copy(self, out: memoryview, frames: int) -> None:
        """Move ``frames`` frames from the buffer to the start of ``out``: the only copy on this side of the pipe."""
        size, done = frames * self._fmt.frame_bytes, 0
        while done < size:
            chunk = self._chunks[0]
            part = min(len(chunk), size - done)
            out[done : done + part] = chunk[:part]
            done += part
            if part == len(chunk):
                self._chunks.popleft()
            else:
                self._chunks[0] = chunk[part:]
        self._buffered_bytes -= size

    def _apply(self, out: memoryview, start: int, end: int, gains: array[float]) -> array[float]:
        """Apply ``gains`` to the frames from ``start`` to ``end``; return those that lie beyond."""
        channels = self._fmt.channels
        samples = out.cast("h")
        for frame, gain in zip(range(start, end), gains, strict=False):
            for index in range(frame * channels, (frame + 1) * channels):
                samples[index] = round(samples[index] * gain)
        return gains[end - start :]

    def _advance(self, out: memoryview, frames: int) -> None:
        if not frames:
            return
        self.silent_frames = 0
        if not self._heard_sound:
            self._look_for_sound(out[: frames * self._fmt.frame_bytes].cast("h"))
        self.played_frames += frames
        if self.played_frames >= self._position_mark:
            self._position_mark = self.played_frames + self._position_step
            self._emit(PlaybackEventType.POSITION, frames)

    def _look_for_sound(self, samples: memoryview) -> None:
        if max(samples) < NOISE_FLOOR and min(samples) > -NOISE_FLOOR:
            return
        self._heard_sound = True
        first = next(index for index, sample in enumerate(samples) if abs(sample) >= NOISE_FLOOR)
        frame = first // self._fmt.channels
        self.events.append(PlayerEvent(PlaybackEventType.FIRST_AUDIO, self.played_frames + frame, frame))

    def _emit(self, event: PlaybackEventType, block_offset: int, *, gap_frames: int = 0) -> None:
        self.events.append(PlayerEvent(event, self.played_frames, block_offset, gap_frames))


def _fade_out(frames: int) -> array[float]:
    """Raised-cosine gains from 1 towards 0, one per frame."""
    return array("f", ((1 + math.cos(math.pi * (index + 1) / (frames + 1))) / 2 for index in range(frames)))
