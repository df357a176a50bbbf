"""The player under any order of pushes, blocks, finishes and stops."""

from __future__ import annotations

from array import array

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voice_mcp.playback.player import BufferPolicy, Player, PlayerEvent, PlayerState
from voice_mcp.types import PcmFormat, PlaybackEventType

RATE_HZ = 8000
GAP_FADE_FRAMES = 40
STOP_FADE_FRAMES = 64
POLICY = BufferPolicy(start_s=0.01, rebuffer_s=0.02, most_s=0.06)


class AnyOrder(RuleBasedStateMachine):
    """Keeps beside the player what was sent and what was heard, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.heard: list[int] = []
        self.edges: list[int] = []
        """Frames that had been heard whenever sound was faded out, or silence came after it."""
        self.gaps: list[int] = []
        self.silence = 0
        self.is_finished = self.is_stopped = False
        self.events: list[PlayerEvent] = []

    @initialize(channels=st.sampled_from([1, 2]), drain_frames=st.integers(0, 200))
    def begin(self, channels: int, drain_frames: int) -> None:
        self.fmt = PcmFormat(RATE_HZ, channels)
        self.player = Player(self.fmt, POLICY, drain_frames=drain_frames)

    @rule(frames=st.integers(0, 400))
    def push(self, frames: int) -> None:
        first = len(self.sent)
        # Loud, and each frame's own, so that one which is lost, repeated or moved is seen.
        values = [5000 + index % 20_000 for index in range(first, first + frames)]
        self.player.push(array("h", [value for value in values for _ in range(self.fmt.channels)]).tobytes())
        if not (self.is_finished or self.is_stopped):
            self.sent += values

    @rule(frames=st.integers(1, 250))
    def render(self, frames: int) -> None:
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
            self.edges.append(len(self.heard))  # faded out in time, whether silence follows or sound comes at once

    @precondition(lambda self: not self.is_finished)
    @rule()
    def finish(self) -> None:
        self.player.finish()
        self.is_finished = True

    @precondition(lambda self: len(self.heard) > 200)
    @rule()
    def stop(self) -> None:
        self.player.stop()
        self.is_stopped = True

    def note(self, frames: list[int], silence: int) -> None:
        if frames and self.silence and self.heard:
            self.gaps.append(self.silence)
        if frames:
            self.silence = 0
        self.heard += frames
        if silence and self.heard and not self.silence:
            self.edges.append(len(self.heard))
        self.silence += silence

    @invariant()
    def told_is_what_happened(self) -> None:
        if not hasattr(self, "player"):
            return
        while self.player.events:
            self.events.append(self.player.events.popleft())
        told = [event.type for event in self.events]
        assert told.count(PlaybackEventType.STARTED) == (1 if self.heard else 0)
        assert told.count(PlaybackEventType.FIRST_AUDIO) == (1 if self.heard else 0)
        assert told.count(PlaybackEventType.ENDED) == (self.player.state is PlayerState.ENDED)
        assert [e.gap_frames for e in self.events if e.type is PlaybackEventType.UNDERRUN] == self.gaps
        assert [e.gap_frames for e in self.events if e.type is PlaybackEventType.RESUMED] == self.gaps
        assert self.player.underruns == len(self.gaps)
        assert self.player.inserted_silence_frames == sum(self.gaps)
        assert self.player.played_frames == len(self.heard)
        frames = [event.frame for event in self.events]
        assert frames == sorted(frames)
        if self.player.state is PlayerState.ENDED:
            assert told[-1] is PlaybackEventType.ENDED
            assert frames[-1] == len(self.heard)
            assert self.player.buffered_frames == 0
        else:
            assert self.player.buffered_frames == len(self.sent) - len(self.heard)

    def teardown(self) -> None:
        if not hasattr(self, "player"):
            return
        self.player.finish()
        for _ in range(200):
            if self.player.state is PlayerState.ENDED:
                break
            self.render(100)
        self.told_is_what_happened()
        assert self.player.state is PlayerState.ENDED, "whatever came before, a finish or a stop leads to an end"
        if not self.is_stopped:
            assert len(self.heard) == len(self.sent)
        self.heard_is_what_was_sent()

    def heard_is_what_was_sent(self) -> None:
        """Frame by frame the same, but for the fades on both sides of silence, which only make quieter."""
        reach = STOP_FADE_FRAMES if self.is_stopped else GAP_FADE_FRAMES
        fading = {edge + offset for edge in self.edges for offset in range(-reach, GAP_FADE_FRAMES)}
        fading |= {len(self.heard) - 1 - offset for offset in range(reach)} if self.is_stopped else set()
        for index, (was, should) in enumerate(zip(self.heard, self.sent, strict=False)):
            assert was == should or (index in fading and 0 <= was < should), f"frame {index}: {was}, not {should}"


AnyOrder.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
test_whatever_the_order_every_frame_leaves_once_and_what_is_told_is_what_happened = AnyOrder.TestCase
