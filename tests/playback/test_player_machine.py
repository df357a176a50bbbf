"""The player under any order of chunks, stalls, rests, blocks, finishes and stops, at devices that come and go."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voice_mcp.playback.ledger import Ledger
from voice_mcp.playback.player import BufferPolicy, Player, PlayerEvent, PlayerState
from voice_mcp.types import PcmFormat, PlaybackEventType

RATE_HZ = 8000
GAP_FADE_FRAMES = 40
STOP_FADE_FRAMES = 64
POLICY = BufferPolicy(start_s=0.01, rebuffer_s=0.02, most_s=0.06)


class AnyOrder(RuleBasedStateMachine):
    """Keeps beside the player what was sent, what left and what was heard, and compares.

    Between the player and the ear there is a device that holds ``latency_frames``. When it is lost, what it held was
    not heard: the player is thrown away, and another one gets everything from there on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.heard: list[int] = []
        self.fading: set[int] = set()
        """Frames that may be quieter than they were sent: they lie beside silence."""
        self.now_s = 0.0
        self.is_finished = self.is_stopped = False

    @initialize(channels=st.sampled_from([1, 2]), latency_frames=st.integers(0, 200), extra_frames=st.integers(0, 100))
    def begin(self, channels: int, latency_frames: int, extra_frames: int) -> None:
        self.fmt = PcmFormat(RATE_HZ, channels)
        self.ledger = Ledger(self.fmt)
        self.open_device(latency_frames, extra_frames)

    def open_device(self, latency_frames: int, extra_frames: int) -> None:
        """A new device, and with it a new player."""
        self.player = Player(self.fmt, POLICY, drain_frames=latency_frames + extra_frames)
        self.begun_at = len(self.heard)
        self.left: list[int] = []
        self.held_by_device: deque[int | None] = deque()
        """The frames on their way to the ear; None is silence."""
        self.latency_frames = latency_frames
        self.gaps: list[int] = []
        self.silence = 0
        self.has_rested = self.is_pausing = False
        """The text rests; and all there was of it has left, so that silence is a pause and no gap."""
        self.events: list[PlayerEvent] = []

    @rule(frames=st.integers(0, 400))
    def push(self, frames: int) -> None:
        first = len(self.sent)
        # Loud, and each frame's own, so that one which is lost, repeated or moved is seen.
        values = [5000 + index % 20_000 for index in range(first, first + frames)]
        block = array("h", [value for value in values for _ in range(self.fmt.channels)]).tobytes()
        if self.is_finished or self.is_stopped:
            self.player.push(block, self.now_s)  # which it must not take
        else:
            self.sent += values
            self.ledger.add(block)
            self.hand_over()
            self.has_rested = self.has_rested and not frames

    def hand_over(self) -> None:
        while (block := self.ledger.take()) is not None:
            self.player.push(block, self.now_s)

    @rule(seconds=st.floats(0, 3))
    def stall(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(frames=st.integers(1, 250))
    def render(self, frames: int) -> None:
        self.now_s += frames / RATE_HZ
        before = self.player.played_frames
        block = bytearray(b"\x55" * (frames * self.fmt.frame_bytes))
        self.player.render(memoryview(block))
        samples = array("h", bytes(block))
        new = self.player.played_frames - before
        for channel in range(1, self.fmt.channels):
            assert samples[channel :: self.fmt.channels] == samples[:: self.fmt.channels]
        out = list(samples[:: self.fmt.channels])
        assert not any(out[new:]), "after the frames of a block there is silence and nothing else"
        self.note(out[:new], frames - new)
        if self.player.state is PlayerState.DRY:
            self.note_edge()  # faded out in time, whether silence follows or sound comes at once

    @rule()
    def rest(self) -> None:
        self.player.rest()
        self.has_rested = True

    @precondition(lambda self: not self.is_finished)
    @rule()
    def finish(self) -> None:
        self.player.finish()
        self.is_finished = True

    @precondition(lambda self: len(self.left) > 200)
    @rule()
    def stop(self) -> None:
        self.player.stop()
        self.is_stopped = True

    @precondition(lambda self: not self.is_stopped and self.player.state is not PlayerState.ENDED)
    @rule(latency_frames=st.integers(0, 200), extra_frames=st.integers(0, 100))
    def lose_device(self, latency_frames: int, extra_frames: int) -> None:
        self.player.cut()
        has_rested = self.has_rested
        self.fading = {frame for frame in self.fading if frame < len(self.heard)}
        assert self.ledger.rewind() == len(self.heard)
        self.open_device(latency_frames, extra_frames)
        self.hand_over()
        if has_rested:
            self.rest()
        if self.is_finished:
            self.player.finish()

    def note(self, frames: list[int], silence: int) -> None:
        """Frames of a block, and the silence after them."""
        if frames:
            if self.silence and self.left and not self.is_pausing:
                self.gaps.append(self.silence)
            self.silence, self.is_pausing = 0, False
        self.left += frames
        if silence and self.left and not self.silence:
            self.note_edge()
        self.silence += silence
        self.is_pausing |= self.has_rested and self.player.buffered_frames == 0
        self.held_by_device.extend(frames)
        self.held_by_device.extend([None] * silence)
        while len(self.held_by_device) > self.latency_frames:
            heard = self.held_by_device.popleft()
            if heard is not None:
                self.heard.append(heard)
        self.ledger.note(self.begun_at + len(self.left), len(self.heard))

    def note_edge(self) -> None:
        edge = self.begun_at + len(self.left)
        reach = STOP_FADE_FRAMES if self.is_stopped else GAP_FADE_FRAMES
        self.fading.update(range(edge - reach, edge + GAP_FADE_FRAMES))

    @invariant()
    def told_is_what_happened(self) -> None:
        if not hasattr(self, "player"):
            return
        while self.player.events:
            self.events.append(self.player.events.popleft())
        told = [event.type for event in self.events]
        assert told.count(PlaybackEventType.STARTED) == (1 if self.left else 0)
        assert told.count(PlaybackEventType.FIRST_AUDIO) == (1 if self.left else 0)
        assert told.count(PlaybackEventType.ENDED) == (self.player.state is PlayerState.ENDED)
        assert [e.gap_frames for e in self.events if e.type is PlaybackEventType.UNDERRUN] == self.gaps
        assert [e.gap_frames for e in self.events if e.type is PlaybackEventType.RESUMED] == self.gaps
        assert self.player.underruns == len(self.gaps)
        assert self.player.inserted_silence_frames == sum(self.gaps)
        assert self.player.played_frames == len(self.left)
        frames = [event.frame for event in self.events]
        assert frames == sorted(frames)
        if self.player.state is PlayerState.ENDED:
            assert told[-1] is PlaybackEventType.ENDED
            assert frames[-1] == len(self.left)
            assert self.player.buffered_frames == 0
        else:
            assert self.player.buffered_frames == len(self.sent) - self.begun_at - len(self.left)

    @invariant()
    def levels_are_those_of_the_buffer(self) -> None:
        if not hasattr(self, "player"):
            return
        mean, least = self.player.buffer_mean_frames, self.player.buffer_least_frames
        assert (mean is None) == (least is None)
        if mean is not None and least is not None:
            assert 0 <= least <= mean <= len(self.sent)

    def teardown(self) -> None:
        if not hasattr(self, "player"):
            return
        if self.has_rested and not self.is_finished:
            self.render_until(lambda: self.player.buffered_frames == 0, "what is held when the text rests leaves")
        self.player.finish()
        self.render_until(lambda: self.player.state is PlayerState.ENDED, "whatever came before, it comes to an end")
        self.told_is_what_happened()
        if not self.is_stopped:
            assert len(self.heard) == len(self.sent), "the end is told when the last frame has been heard"
        for index, (was, should) in enumerate(zip(self.heard, self.sent, strict=False)):
            # Frame by frame the same, but for the fades on both sides of silence, which only make quieter.
            assert was == should or (index in self.fading and 0 <= was < should), f"frame {index}: {was}, not {should}"

    def render_until(self, is_so: Callable[[], bool], claim: str) -> None:
        for _ in range(200):
            if is_so():
                return
            self.render(100)
        raise AssertionError(claim)


AnyOrder.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
test_whatever_the_order_every_frame_is_heard_once_and_what_is_told_is_what_happened = AnyOrder.TestCase
