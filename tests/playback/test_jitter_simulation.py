"""What the ear gets from sources of every pace and temper: minutes of speech with a clock that is only counted."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain, repeat
from random import Random

import pytest

from voice_mcp.playback.player import BufferPolicy, Player, PlayerState
from voice_mcp.types import PcmFormat, PlaybackEventType

FMT = PcmFormat(24_000, 1)
PERIOD_FRAMES = 240
LATENCY_FRAMES = 480
DEFAULTS = BufferPolicy(start_s=0.15, rebuffer_s=0.3, most_s=2.0)
CHUNK_BYTES = 4096
CHUNK_S = FMT.seconds(FMT.frames(CHUNK_BYTES))
MINUTE_S = 60.0


class Ear:
    """A device that asks for 10 ms each 10 ms, and a server that sends as fast as it can and is read.

    Args:
        waits_s: How long the server takes for each chunk, from when it could go on after the one before.
        chunk_bytes: How much comes at a time.
        policy: What the player is told.
    """

    def __init__(
        self, waits_s: Iterator[float], chunk_bytes: int = CHUNK_BYTES, policy: BufferPolicy = DEFAULTS
    ) -> None:
        self.player = Player(FMT, policy)
        self.player.fit_to_device(PERIOD_FRAMES, LATENCY_FRAMES)
        self.gaps: list[tuple[float, float]] = []
        """When each gap began, and how long it was, in seconds."""
        self.sent_frames = 0
        self._waits_s = waits_s
        self._chunk = array("h", [10_000] * (chunk_bytes // 2)).tobytes()
        self._most_frames = FMT.frames_in(policy.most_s)
        self._out = memoryview(bytearray(PERIOD_FRAMES * FMT.frame_bytes))
        self._block = 0
        self._due_s: float | None = next(waits_s, None)

    @property
    def now_s(self) -> float:
        return self._block * PERIOD_FRAMES / FMT.rate_hz

    def listen(self, seconds: float) -> Ear:
        """Hear so much more."""
        until_s = self.now_s + seconds
        while self.now_s < until_s and self.player.state is not PlayerState.ENDED:
            self._block += 1
            self._receive()
            self.player.render(self._out, self.now_s)
            self._note()
        return self

    def most_gaps_in_a_minute(self) -> int:
        begins_s = [begin_s for begin_s, _ in self.gaps]
        return max((sum(0 <= other - one < MINUTE_S for other in begins_s) for one in begins_s), default=0)

    def _receive(self) -> None:
        while self._due_s is not None and self._due_s <= self.now_s:
            if self.player.buffered_frames >= self._most_frames:
                self._due_s = self.now_s  # it is left unread, and cannot go on
                return
            self.player.push(self._chunk, self._due_s)
            self.sent_frames += FMT.frames(len(self._chunk))
            wait_s = next(self._waits_s, None)
            if wait_s is None:
                self.player.finish()
            self._due_s = None if wait_s is None else self._due_s + wait_s

    def _note(self) -> None:
        while self.player.events:
            event = self.player.events.popleft()
            if event.type is PlaybackEventType.UNDERRUN:
                gap_s = FMT.seconds(event.gap_frames)
                self.gaps.append((self.now_s - gap_s, gap_s))

    def runs_s(self) -> list[float]:
        """How long sound lasted between one gap and the next."""
        ends_s = [begin_s + gap_s for begin_s, gap_s in self.gaps]
        return [begin_s - end_s for (begin_s, _), end_s in zip(self.gaps[1:], ends_s, strict=False)]


def steady(pace: float, chunk_bytes: int = CHUNK_BYTES) -> Iterator[float]:
    """So many seconds of audio a second, evenly."""
    return repeat(FMT.seconds(FMT.frames(chunk_bytes)) / pace)


def chunks_in(seconds: float, pace: float) -> int:
    return round(seconds * pace / CHUNK_S)


def with_outage(pace: float, after_s: float, outage_s: float = 1.0) -> Iterator[float]:
    return chain(repeat(CHUNK_S / pace, chunks_in(after_s, pace)), [outage_s], steady(pace))


def uneven(pace: float, seed: int, spread: float) -> Iterator[float]:
    """Waits of a long-tailed kind, as networks have them, ``pace`` on average."""
    random = Random(seed)
    while True:
        yield CHUNK_S / pace * random.lognormvariate(-spread * spread / 2, spread)


def bursts(pace: float, chunks: int) -> Iterator[float]:
    while True:
        yield from repeat(0.0, chunks - 1)
        yield chunks * CHUNK_S / pace


def stalls(pace: float, every_s: float, stall_s: float) -> Iterator[float]:
    while True:
        yield from repeat(CHUNK_S / pace, chunks_in(every_s, pace) - 1)
        yield CHUNK_S / pace + stall_s


def test_a_server_at_nine_tenths_of_real_time_gives_at_most_three_gaps_a_minute() -> None:
    ear = Ear(steady(0.9)).listen(5 * MINUTE_S)

    assert 1 <= ear.most_gaps_in_a_minute() <= 3
    assert len(ear.gaps) <= 15


@pytest.mark.parametrize("chunk_bytes", [1024, 4096, 8192, 16384])
@pytest.mark.parametrize(("pace", "most_gaps"), [(0.5, 9), (0.8, 6), (0.9, 4), (0.95, 3), (0.98, 3)])
def test_a_slow_server_is_collected_from_for_as_long_a_run_as_may_be(
    pace: float, most_gaps: int, chunk_bytes: int
) -> None:
    ear = Ear(steady(pace, chunk_bytes), chunk_bytes).listen(5 * MINUTE_S)
    collected_s = min(20 * (1 - pace), DEFAULTS.most_s)
    chunk_s = FMT.seconds(FMT.frames(chunk_bytes))

    assert 1 <= ear.most_gaps_in_a_minute() <= most_gaps
    # A chunk of which a part is missing does not help any more.
    assert min(ear.runs_s()) > (collected_s - chunk_s) / (1 - pace) - 0.2
    assert max(gap_s for _, gap_s in ear.gaps) < (DEFAULTS.most_s + chunk_s) / pace


@pytest.mark.parametrize("chunk_bytes", [1024, 4096, 8192, 16384])
@pytest.mark.parametrize("pace", [1.0, 1.05, 1.5, 5.0, 50.0])
def test_a_server_as_fast_as_speech_is_heard_without_a_gap_but_for_one_at_most_where_a_chunk_is_long(
    pace: float, chunk_bytes: int
) -> None:
    ear = Ear(steady(pace, chunk_bytes), chunk_bytes).listen(2 * MINUTE_S)

    assert len(ear.gaps) <= (pace == 1.0 and chunk_bytes > CHUNK_BYTES)


@pytest.mark.parametrize(
    "waits_s",
    [
        pytest.param(stalls(1.5, 1.0, 0.2), id="200 ms each second at 1.5x"),
        pytest.param(stalls(3.0, 1.0, 0.5), id="500 ms each second at 3x"),
        pytest.param(bursts(1.5, 4), id="bursts of 0.3 s at 1.5x"),
        pytest.param(bursts(1.5, 16), id="bursts of 1.4 s at 1.5x"),
        pytest.param(uneven(1.5, seed=0, spread=0.3), id="a little uneven at 1.5x"),
        pytest.param(uneven(1.5, seed=1, spread=1.0), id="very uneven at 1.5x"),
        pytest.param(uneven(1.1, seed=2, spread=0.3), id="a little uneven at 1.1x"),
    ],
)
def test_unevenness_of_a_source_fast_enough_is_not_heard(waits_s: Iterator[float]) -> None:
    assert Ear(waits_s).listen(2 * MINUTE_S).gaps == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize(("pace", "most_gaps"), [(0.9, 5), (0.95, 4), (1.0, 4), (1.1, 3)])
def test_unevenness_of_a_source_hardly_fast_enough_never_becomes_a_stutter(
    pace: float, most_gaps: int, spread: float, seed: int
) -> None:
    ear = Ear(uneven(pace, seed, spread)).listen(3 * MINUTE_S)

    assert ear.most_gaps_in_a_minute() <= most_gaps
    assert all(run_s > 0.5 for run_s in ear.runs_s()), "even while next to nothing is known of it"
    assert all(run_s > 4 for run_s in ear.runs_s()[1:])
    assert ear.player.played_frames + ear.player.buffered_frames == ear.sent_frames


def test_an_outage_of_a_second_is_not_heard_by_whoever_has_a_second_in_hand() -> None:
    ear = Ear(with_outage(1.5, after_s=2.0))
    ear.listen(2.0)
    assert ear.player.buffered_frames >= FMT.frames_in(1.0)

    assert ear.listen(MINUTE_S).gaps == []


@pytest.mark.parametrize("after_s", [0.3, 0.6, 1.0])
def test_an_outage_of_a_second_is_one_gap_for_whoever_has_less_and_then_there_is_enough_for_another(
    after_s: float,
) -> None:
    ear = Ear(
        chain(repeat(CHUNK_S / 1.5, chunks_in(after_s, 1.5)), [1.0], repeat(CHUNK_S / 1.5, 3), [1.0], steady(1.5))
    )
    ear.listen(MINUTE_S)

    assert len(ear.gaps) == 1


def test_a_single_outage_of_a_fast_source_is_not_taken_for_a_slow_one() -> None:
    ear = Ear(with_outage(1.5, after_s=1.0)).listen(MINUTE_S)
    (_, gap_s) = ear.gaps[0]

    assert len(ear.gaps) == 1
    assert gap_s < 1.0 + 0.1, "what the outage lasted: no more is collected than such an outage takes"


def test_a_slow_engine_that_takes_over_from_a_fast_one_is_soon_known_for_what_it_is() -> None:
    fast = repeat(CHUNK_S / 5, chunks_in(12.0, 5))
    ear = Ear(chain(fast, steady(0.9))).listen(5 * MINUTE_S)

    assert ear.most_gaps_in_a_minute() <= 3
    assert min(ear.runs_s()) > 10


def test_a_fast_engine_that_takes_over_from_a_slow_one_is_heard_without_a_gap() -> None:
    slow = repeat(CHUNK_S / 0.9, chunks_in(MINUTE_S, 0.9))
    ear = Ear(chain(slow, steady(2.0))).listen(3 * MINUTE_S)

    assert ear.gaps
    assert all(begin_s < MINUTE_S for begin_s, _ in ear.gaps)


def test_the_last_frame_of_a_slow_source_leaves_too() -> None:
    chunks = 101
    ear = Ear(repeat(CHUNK_S / 0.8, chunks)).listen(MINUTE_S)

    assert ear.player.state is PlayerState.ENDED
    assert ear.player.played_frames == ear.sent_frames == chunks * FMT.frames(CHUNK_BYTES)


def test_the_levels_told_afterwards_are_those_there_were() -> None:
    fast, slow = Ear(steady(5.0)).listen(MINUTE_S).player, Ear(steady(0.9)).listen(MINUTE_S).player

    assert fast.buffer_mean_frames is not None
    assert slow.buffer_mean_frames is not None
    assert slow.buffer_least_frames is not None
    assert FMT.seconds(round(fast.buffer_mean_frames)) == pytest.approx(DEFAULTS.most_s, abs=0.1)
    assert FMT.seconds(round(slow.buffer_mean_frames)) == pytest.approx(DEFAULTS.most_s / 2, abs=0.1)
    assert slow.buffer_least_frames < PERIOD_FRAMES


@pytest.mark.parametrize("phase", range(20))
def test_whenever_the_first_block_comes_sound_starts_within_two_periods_and_does_not_run_dry(phase: int) -> None:
    first_s, dice = 0.01 + phase * 0.0005, Random(phase)
    # 20 ms each 10 ms, give or take 3: the least that a source this even can start with.
    waits_s = chain([first_s], (max(0.0, 0.01 + dice.uniform(-0.003, 0.003)) for _ in range(200)))
    ear = Ear(waits_s, chunk_bytes=960, policy=BufferPolicy(start_s=0.016, rebuffer_s=0.3))
    while not ear.player.played_frames:
        ear.listen(0.01)

    assert ear.now_s - first_s <= 0.02
    assert ear.listen(3).gaps == []
