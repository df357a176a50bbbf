"""What the device gets and when: the player with nothing around it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.playback.player import BufferPolicy, Player, PlayerEvent, PlayerState
from voice_mcp.types import PcmFormat, PlaybackEventType

MONO = PcmFormat(8000, 1)
STEREO = PcmFormat(8000, 2)
START_FRAMES = 80
REBUFFER_FRAMES = 160
MOST_FRAMES = 400
POLICY = BufferPolicy(start_s=START_FRAMES / 8000, rebuffer_s=REBUFFER_FRAMES / 8000, most_s=MOST_FRAMES / 8000)
GAP_FADE_FRAMES = 40
STOP_FADE_FRAMES = 64
BLOCK = 80
AT_ONCE = 0.0
"""When everything comes: of its source a player learns nothing from it."""
LOUD = 10_000
BLOCK_SIZES = pytest.mark.parametrize("block", [1, 7, 39, 40, 64, 80, 113, 240, 1000])


def samples(count: int, first: int = 0) -> list[int]:
    """Every one different from its neighbours, all loud."""
    return [1000 + index % 30_000 for index in range(first, first + count)]


def packed(values: Sequence[int]) -> bytes:
    return array("h", values).tobytes()


def level(frames: int, value: int = LOUD) -> bytes:
    return packed([value] * frames)


def heard(player: Player, frames: int, fmt: PcmFormat = MONO, now_s: float = inf) -> list[int]:
    """The samples of one block."""
    block = bytearray(b"\x55" * (frames * fmt.frame_bytes))  # whatever the device left there last time
    player.render(memoryview(block), now_s)
    return list(array("h", bytes(block)))


def heard_until(player: Player, state: PlayerState, block: int, at_most: int = 5000) -> list[int]:
    """The samples up to the block in which ``player`` gets into ``state``, and that block."""
    out: list[int] = []
    while player.state is not state:
        assert len(out) <= at_most, f"still {player.state} after {len(out)} frames"
        out += heard(player, block)
    return out


def of(player: Player, kind: PlaybackEventType) -> list[PlayerEvent]:
    return [event for event in player.events if event.type is kind]


def kinds(player: Player) -> list[PlaybackEventType]:
    """What happened, but for where it stood."""
    return [event.type for event in player.events if event.type is not PlaybackEventType.POSITION]


def gone_dry(block: int = BLOCK, frames: int = 400) -> tuple[Player, list[int]]:
    """A player that played ``frames`` loud frames as far as it could, and what was heard of it."""
    player = Player(MONO, POLICY)
    player.push(level(frames), AT_ONCE)
    return player, heard_until(player, PlayerState.DRY, block)


# --- start -------------------------------------------------------------------------------------------------------


def test_nothing_sounds_before_enough_is_held() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1), AT_ONCE)

    assert set(heard(player, BLOCK)) == {0}
    assert player.state is PlayerState.FILLING
    assert player.played_frames == 0
    assert not player.events


def test_sound_starts_with_the_first_block_after_enough_is_held() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1), AT_ONCE)
    heard(player, BLOCK)
    player.push(level(GAP_FADE_FRAMES + 1), AT_ONCE)

    assert set(heard(player, BLOCK)) == {LOUD}
    assert player.events[0] == PlayerEvent(PlaybackEventType.STARTED, frame=0, block_offset_frames=0)


def test_what_is_shorter_than_the_first_buffer_starts_once_it_is_finished() -> None:
    player = Player(MONO, POLICY)
    player.push(level(3), AT_ONCE)
    assert set(heard(player, BLOCK)) == {0}
    player.finish()

    assert heard(player, BLOCK) == [LOUD] * 3 + [0] * (BLOCK - 3)


def test_the_first_buffer_is_never_longer_than_the_most_that_may_be_held() -> None:
    player = Player(MONO, BufferPolicy(start_s=1.0, rebuffer_s=1.0, most_s=0.01))
    player.push(level(80 + GAP_FADE_FRAMES), AT_ONCE)

    assert set(heard(player, BLOCK)) == {LOUD}


def test_an_utterance_without_a_frame_ends_without_having_started() -> None:
    player = Player(MONO, POLICY)
    player.finish()

    assert set(heard(player, BLOCK)) == {0}
    assert kinds(player) == [PlaybackEventType.ENDED]


# --- frames ------------------------------------------------------------------------------------------------------


@given(
    fmt=st.sampled_from([MONO, STEREO]),
    chunks=st.lists(st.integers(0, 300), max_size=12),
    blocks=st.lists(st.integers(1, 300), min_size=1, max_size=5),
)
def test_every_frame_leaves_once_and_in_order_however_chunks_and_blocks_are_cut(
    fmt: PcmFormat, chunks: list[int], blocks: list[int]
) -> None:
    player, sent = Player(fmt, POLICY), samples(sum(chunks) * fmt.channels)
    at = 0
    for chunk in chunks:
        player.push(packed(sent[at : at + chunk * fmt.channels]), AT_ONCE)
        at += chunk * fmt.channels
    player.finish()
    out: list[int] = []
    while player.state is not PlayerState.ENDED:
        out += heard(player, blocks[len(out) % len(blocks)], fmt)

    assert out[: len(sent)] == sent
    assert not any(out[len(sent) :])
    assert player.played_frames == sum(chunks)
    assert player.underruns == 0


@given(chunks=st.lists(st.integers(0, 300), max_size=12), most_bytes=st.integers(4, 700))
def test_a_sink_that_keeps_no_time_gets_every_frame_once_and_in_order(chunks: list[int], most_bytes: int) -> None:
    player, out, sent = Player(STEREO, POLICY), bytearray(), packed(samples(2 * sum(chunks)))
    at = 0
    for chunk in chunks:
        player.push(sent[at : at + 4 * chunk], AT_ONCE)
        at += 4 * chunk
        part = player.take(most_bytes)
        assert len(part) <= most_bytes
        assert len(part) % 4 == 0
        out += part
    player.finish()
    while player.state is not PlayerState.ENDED:
        out += player.take(most_bytes)

    assert bytes(out) == sent
    assert kinds(player).count(PlaybackEventType.STARTED) == (1 if sent else 0)
    assert kinds(player)[-1] is PlaybackEventType.ENDED
    assert player.underruns == 0


def test_a_sink_that_keeps_no_time_neither_waits_nor_gets_silence() -> None:
    player = Player(MONO, POLICY)
    assert player.take(100) == b""
    player.push(level(1), AT_ONCE)
    assert player.take(100) == level(1)
    assert player.take(100) == b""
    player.push(level(1), AT_ONCE)
    assert player.take(100) == level(1)
    assert kinds(player) == [PlaybackEventType.STARTED, PlaybackEventType.FIRST_AUDIO]


def test_a_sink_that_keeps_no_time_gets_nothing_after_a_stop() -> None:
    player = Player(MONO, POLICY)
    player.push(level(100), AT_ONCE)
    player.take(20)
    player.stop()

    assert player.take(100) == b""
    assert player.state is PlayerState.ENDED
    assert of(player, PlaybackEventType.ENDED)[0].frame == 10


@pytest.mark.parametrize(("fmt", "size"), [(MONO, 1), (STEREO, 2), (STEREO, 5)])
def test_bytes_that_are_no_whole_frames_are_refused(fmt: PcmFormat, size: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        Player(fmt, POLICY).push(bytes(size), AT_ONCE)


def test_frames_after_the_finish_are_not_taken() -> None:
    player = Player(MONO, POLICY)
    player.push(level(10), AT_ONCE)
    player.finish()
    player.push(level(10), AT_ONCE)

    assert player.buffered_frames == 10


def test_frames_after_a_stop_are_not_taken() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500), AT_ONCE)
    heard(player, BLOCK)
    player.stop()
    player.push(level(10), AT_ONCE)
    assert player.buffered_frames == 500 - BLOCK
    heard_until(player, PlayerState.ENDED, BLOCK)
    player.push(level(10), AT_ONCE)

    assert player.buffered_frames == 0


# --- gaps --------------------------------------------------------------------------------------------------------


@BLOCK_SIZES
def test_a_dry_buffer_fades_out_over_5_ms_whatever_the_block_size(block: int) -> None:
    player, out = gone_dry(block)
    edge = player.played_frames
    fade = out[edge - GAP_FADE_FRAMES : edge]

    assert out[: edge - GAP_FADE_FRAMES] == [LOUD] * (edge - GAP_FADE_FRAMES)
    assert fade == sorted(fade, reverse=True)
    assert 0.99 * LOUD < fade[0] < LOUD
    assert fade[-1] < 0.01 * LOUD
    assert max(a - b for a, b in zip(fade, fade[1:], strict=False)) < 0.05 * LOUD
    assert not any(out[edge:])
    assert 0 <= player.buffered_frames < GAP_FADE_FRAMES


@BLOCK_SIZES
def test_after_a_gap_sound_fades_in_over_5_ms_whatever_the_block_size(block: int) -> None:
    player, _ = gone_dry()
    player.push(level(1500), AT_ONCE)
    player.finish()
    out = heard_until(player, PlayerState.ENDED, block)
    fade = out[:GAP_FADE_FRAMES]

    assert fade == sorted(fade)
    assert fade[0] < 0.01 * LOUD
    assert 0.99 * LOUD < fade[-1] < LOUD
    assert set(out[GAP_FADE_FRAMES:1500]) == {LOUD}


def test_a_gap_is_told_once_with_its_length_when_it_is_over() -> None:
    player, out = gone_dry()
    edge = player.played_frames
    silence = len(out) - edge + len(heard(player, BLOCK) + heard(player, BLOCK))
    assert player.underruns == 0
    assert PlaybackEventType.UNDERRUN not in kinds(player)
    player.push(level(REBUFFER_FRAMES), AT_ONCE)
    player.finish()
    heard_until(player, PlayerState.ENDED, BLOCK)

    gap = [event for event in player.events if event.type in (PlaybackEventType.UNDERRUN, PlaybackEventType.RESUMED)]
    assert gap == [
        PlayerEvent(PlaybackEventType.UNDERRUN, edge, 0, silence),
        PlayerEvent(PlaybackEventType.RESUMED, edge, 0, silence),
    ]
    assert player.underruns == 1
    assert player.inserted_silence_frames == silence


def test_where_it_went_dry_is_told_to_the_frame() -> None:
    for frames in range(300, 400, 7):
        player, _ = gone_dry(frames=frames)

        assert of(player, PlaybackEventType.POSITION)[-1].frame == player.played_frames


def test_each_further_gap_asks_for_twice_as_much_up_to_the_most() -> None:
    player, _ = gone_dry()
    for needed in (REBUFFER_FRAMES, 2 * REBUFFER_FRAMES, MOST_FRAMES, MOST_FRAMES):
        player.push(level(needed - 1 - player.buffered_frames), AT_ONCE)
        assert not any(heard(player, BLOCK))
        player.push(level(1), AT_ONCE)
        assert any(heard(player, BLOCK))
        heard_until(player, PlayerState.DRY, BLOCK)

    assert player.underruns == 4


def test_a_dry_buffer_after_which_only_the_end_came_is_no_gap() -> None:
    player, _ = gone_dry(frames=2 * BLOCK)
    heard(player, BLOCK)
    assert player.buffered_frames == 0
    player.finish()
    heard_until(player, PlayerState.ENDED, BLOCK)

    assert player.underruns == 0
    assert player.inserted_silence_frames == 0
    assert PlaybackEventType.UNDERRUN not in kinds(player)


def test_a_stop_while_the_buffer_is_dry_ends_at_once_and_is_no_gap() -> None:
    player, _ = gone_dry()
    player.stop()

    assert player.state is PlayerState.ENDED
    assert player.underruns == 0
    assert not any(heard(player, BLOCK))


def test_both_channels_fade_alike() -> None:
    player = Player(STEREO, POLICY)
    player.push(packed([LOUD, -LOUD] * 200), AT_ONCE)
    out: list[int] = []
    while player.state is not PlayerState.DRY:
        out += heard(player, BLOCK, STEREO)

    assert out[0::2] == [-sample for sample in out[1::2]]
    assert any(0 < sample < LOUD for sample in out[0::2])


def test_a_gap_the_device_tells_of_is_counted_while_sound_plays_and_only_then() -> None:
    player = Player(MONO, POLICY, drain_frames=1000)
    player.count_device_gap()
    assert player.underruns == 0
    player.push(level(500), AT_ONCE)
    heard(player, BLOCK)
    player.count_device_gap()

    assert player.underruns == 1
    assert kinds(player)[-2:] == [PlaybackEventType.UNDERRUN, PlaybackEventType.RESUMED]
    player.finish()
    heard_until(player, PlayerState.DRAINING, BLOCK)
    player.count_device_gap()
    assert player.underruns == 1


def test_a_gap_of_the_device_is_told_with_its_length() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500), AT_ONCE)
    heard(player, BLOCK)
    player.count_device_gap(80)

    assert player.inserted_silence_frames == 80
    assert [event.gap_frames for event in player.events][-2:] == [80, 80]


def test_a_gap_of_the_device_that_is_noticed_only_later_counts_until_the_end() -> None:
    player = Player(MONO, POLICY, drain_frames=1000)
    player.count_device_gap(80, late=True)
    assert player.underruns == 0
    player.push(level(500), AT_ONCE)
    player.finish()
    heard_until(player, PlayerState.DRAINING, BLOCK)
    player.count_device_gap(80, late=True)
    assert player.underruns == 1
    heard_until(player, PlayerState.ENDED, BLOCK)
    player.count_device_gap(80, late=True)
    assert player.underruns == 1


# --- stop --------------------------------------------------------------------------------------------------------


@BLOCK_SIZES
def test_a_stop_fades_over_8_ms_and_then_there_is_silence(block: int) -> None:
    player = Player(MONO, POLICY)
    player.push(level(3000), AT_ONCE)
    heard(player, BLOCK)
    player.stop()
    out = heard_until(player, PlayerState.ENDED, block) + heard(player, BLOCK)
    fade = out[:STOP_FADE_FRAMES]

    assert fade == sorted(fade, reverse=True)
    assert 0.99 * LOUD < fade[0] < LOUD
    assert fade[-1] < 0.01 * LOUD
    assert not any(out[STOP_FADE_FRAMES:])
    assert player.played_frames == BLOCK + STOP_FADE_FRAMES
    assert [event.frame for event in of(player, PlaybackEventType.ENDED)] == [player.played_frames]


def test_a_stop_with_less_than_a_fade_left_fades_over_what_is_left() -> None:
    player = Player(MONO, POLICY)
    player.push(level(BLOCK + 10), AT_ONCE)
    player.finish()
    heard(player, BLOCK)
    player.stop()
    out = heard(player, BLOCK)

    assert out[:10] == sorted(out[:10], reverse=True)
    assert 0 < out[9] < 0.05 * LOUD
    assert not any(out[10:])
    assert player.state is PlayerState.ENDED


def test_a_stop_during_the_fade_before_a_gap_goes_on_with_that_fade() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES), AT_ONCE)
    out: list[int] = []
    while not any(sample < LOUD for sample in out):
        out += heard(player, 8)
    player.stop()
    out += heard_until(player, PlayerState.ENDED, 8)

    assert max(a - b for a, b in zip(out, out[1:], strict=False)) < 0.05 * LOUD


def test_a_stop_before_the_first_sound_plays_nothing() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1), AT_ONCE)
    heard(player, BLOCK)
    player.stop()

    assert not any(heard(player, BLOCK))
    assert player.played_frames == 0
    assert list(player.events) == [PlayerEvent(PlaybackEventType.ENDED, 0, 0)]


def test_a_second_stop_changes_nothing() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500), AT_ONCE)
    heard(player, BLOCK)
    player.stop()
    heard(player, 10)
    player.stop()
    heard_until(player, PlayerState.ENDED, 10)
    player.stop()

    assert player.played_frames == BLOCK + STOP_FADE_FRAMES
    assert len(of(player, PlaybackEventType.ENDED)) == 1


def test_a_cut_ends_without_another_frame() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500), AT_ONCE)
    heard(player, BLOCK)
    player.cut()

    assert player.state is PlayerState.ENDED
    assert not any(heard(player, BLOCK))
    assert player.played_frames == BLOCK


# --- the end -----------------------------------------------------------------------------------------------------


@BLOCK_SIZES
@pytest.mark.parametrize("drain", [1, 79, 80, 200])
def test_the_end_comes_only_after_the_device_has_played_out(block: int, drain: int) -> None:
    player = Player(MONO, POLICY, drain_frames=drain)
    player.push(level(160), AT_ONCE)
    player.finish()
    heard_frames = len(heard_until(player, PlayerState.ENDED, block))

    assert heard_frames >= 160 + drain
    assert heard_frames - block < 160 + drain, "not a block later than needed"
    ended = of(player, PlaybackEventType.ENDED)[0]
    assert ended.frame == 160
    assert player.silent_frames == heard_frames - 160


def test_a_stop_while_the_device_plays_out_ends_at_once() -> None:
    player = Player(MONO, POLICY, drain_frames=1000)
    player.push(level(100), AT_ONCE)
    player.finish()
    heard_until(player, PlayerState.DRAINING, BLOCK)
    player.stop()

    assert player.state is PlayerState.ENDED
    assert of(player, PlaybackEventType.ENDED)[0].frame == 100


def test_silence_that_was_already_given_counts_as_played_out() -> None:
    player, _ = gone_dry(frames=2 * BLOCK)
    player.drain_frames = 2 * BLOCK
    heard(player, BLOCK)
    heard(player, BLOCK)
    player.finish()
    heard(player, BLOCK)

    assert player.state is PlayerState.ENDED


def test_the_device_is_needed_while_sound_or_an_end_is_due() -> None:
    player = Player(MONO, POLICY, drain_frames=100)
    assert not player.needs_device
    player.push(level(10), AT_ONCE)
    assert player.needs_device
    player.finish()
    heard_until(player, PlayerState.DRAINING, 10)
    assert player.needs_device


# --- what is told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loud", [104, -104, 32767, -32768])
def test_first_audio_is_the_first_frame_above_the_noise_floor(loud: int) -> None:
    player = Player(MONO, POLICY)
    player.push(packed([0] * 100 + [103, -103] * 25 + [loud] + [0] * 500), AT_ONCE)
    heard(player, BLOCK)
    assert not of(player, PlaybackEventType.FIRST_AUDIO)
    heard(player, BLOCK)
    heard(player, BLOCK)

    assert of(player, PlaybackEventType.FIRST_AUDIO) == [PlayerEvent(PlaybackEventType.FIRST_AUDIO, 150, 150 - BLOCK)]


def test_first_audio_counts_frames_and_not_samples() -> None:
    player = Player(STEREO, POLICY)
    player.push(packed([0] * 15 + [LOUD] + [0] * 400), AT_ONCE)
    heard(player, BLOCK, STEREO)

    assert of(player, PlaybackEventType.FIRST_AUDIO)[0].frame == 7


def test_silence_is_never_called_first_audio() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500, 103), AT_ONCE)
    player.finish()
    heard_until(player, PlayerState.ENDED, BLOCK)

    assert not of(player, PlaybackEventType.FIRST_AUDIO)


@BLOCK_SIZES
def test_positions_rise_and_come_every_40_ms_or_block(block: int) -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(4000)), AT_ONCE)
    player.finish()
    heard_until(player, PlayerState.ENDED, block)
    told = [event.frame for event in of(player, PlaybackEventType.POSITION)]

    assert told == sorted(set(told))
    assert max(b - a for a, b in zip([0, *told], told, strict=False)) <= 320 + block
    assert told[-1] <= 4000


def test_a_rest_lets_everything_out_and_the_pause_after_it_is_no_gap() -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(200)), AT_ONCE)
    player.rest()
    assert heard(player, 240) == samples(200) + [0] * 40
    assert heard(player, BLOCK) == [0] * BLOCK
    player.push(packed(samples(200, first=200)), AT_ONCE)
    player.push(packed(samples(200, first=400)), AT_ONCE)
    assert heard(player, 240) == samples(240, first=200)
    assert player.underruns == 0
    assert len(of(player, PlaybackEventType.STARTED)) == 1


def test_a_gap_after_a_rest_is_a_gap_again() -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(100)), AT_ONCE)
    player.rest()
    heard(player, 160)
    player.push(level(100), AT_ONCE)
    heard(player, 160)
    player.push(level(REBUFFER_FRAMES + 200), AT_ONCE)
    heard(player, BLOCK)
    assert player.underruns == 1


def test_a_buffer_that_is_filled_again_before_the_next_block_leaves_no_gap_to_count() -> None:
    player = Player(MONO, POLICY)
    player.push(level(100), AT_ONCE)
    heard(player, BLOCK)
    assert player.state is PlayerState.DRY
    player.push(level(MOST_FRAMES), AT_ONCE)
    faded_in = heard(player, BLOCK)
    assert 0 < faded_in[0] < faded_in[-1] == LOUD
    assert (player.underruns, player.inserted_silence_frames) == (0, 0)


def test_sound_never_starts_with_less_than_the_device_takes_at_once() -> None:
    player = Player(MONO, BufferPolicy(start_s=0.001))
    player.fit_to_device(period_frames=160, latency_frames=480)
    player.push(level(160), AT_ONCE)
    assert heard(player, 160) == [0] * 160
    player.push(level(GAP_FADE_FRAMES), AT_ONCE)
    assert heard(player, 160) == [LOUD] * 160
    assert player.drain_frames == 640


def test_sound_starts_when_it_lasts_until_the_source_has_sent_more() -> None:
    def started(now_s: float) -> bool:
        player = Player(MONO, BufferPolicy(start_s=0.015))
        player.fit_to_device(period_frames=80, latency_frames=0)
        player.push(level(160), 1.0)  # lasts for this period of 10 ms, and not for a fade in the next
        return any(heard(player, 80, now_s=now_s))

    assert not started(1.004)
    assert started(1.006)


@pytest.mark.parametrize("period", [160, 4000])
def test_after_a_gap_too_sound_waits_for_what_the_device_takes_at_once_but_not_for_more_than_may_be_held(
    period: int,
) -> None:
    player = Player(MONO, BufferPolicy(start_s=0.0, rebuffer_s=0.0, most_s=0.1))
    player.fit_to_device(period, latency_frames=0)
    needed = min(period + GAP_FADE_FRAMES, 800)
    for _ in range(2):
        player.push(level(needed - 1 - player.buffered_frames), AT_ONCE)
        assert not any(heard(player, 80))
        player.push(level(1), AT_ONCE)
        assert any(heard(player, 80))
        heard_until(player, PlayerState.DRY, 80)


def test_what_is_held_when_the_text_rests_during_a_gap_is_not_kept_for_the_next_text() -> None:
    player, _ = gone_dry()
    heard(player, BLOCK)
    held = player.buffered_frames
    player.push(level(REBUFFER_FRAMES - 1 - held), AT_ONCE)
    assert not any(heard(player, BLOCK))
    player.rest()

    assert heard(player, 240)[GAP_FADE_FRAMES:] == [LOUD] * (REBUFFER_FRAMES - 1 - GAP_FADE_FRAMES) + [0] * 81
    assert player.underruns == 1


def test_whoever_was_late_once_is_waited_for_as_long_after_a_pause_of_the_text() -> None:
    player, _ = gone_dry()
    heard(player, BLOCK)
    player.push(level(REBUFFER_FRAMES), AT_ONCE)
    player.rest()
    heard(player, 500)
    player.push(level(REBUFFER_FRAMES - 1), AT_ONCE)
    assert not any(heard(player, BLOCK))
    player.push(level(1), AT_ONCE)
    assert any(heard(player, BLOCK))
    assert player.underruns == 1


def test_a_dry_buffer_after_which_the_text_rested_is_no_gap() -> None:
    player, _ = gone_dry(frames=2 * BLOCK)
    assert player.buffered_frames == 0
    player.rest()
    heard(player, BLOCK)
    player.push(level(START_FRAMES + GAP_FADE_FRAMES), AT_ONCE)

    assert heard(player, BLOCK) == [LOUD] * BLOCK, "and starts again with as much as it did at first"
    assert (player.underruns, player.inserted_silence_frames) == (0, 0)


# --- what is learnt of the source --------------------------------------------------------------------------------

WAITING = BufferPolicy(start_s=0.05, rebuffer_s=0.1, most_s=2.0)


def needed_after_a_gap(player: Player, now_s: float) -> int:
    """Frames, in tens, that bring ``player``, which is dry, back to sound if they come at once."""
    while player.state is PlayerState.DRY:
        player.push(level(10), now_s)
        before = player.buffered_frames
        heard(player, 1)
    return before


def test_what_an_outage_took_is_collected_before_sound_goes_on() -> None:
    player = Player(MONO, WAITING)
    for now_s in (0.0, 0.1, 0.2, 0.3):
        player.push(level(1000), now_s)
    heard_until(player, PlayerState.DRY, BLOCK)

    assert needed_after_a_gap(player, 1.5) == pytest.approx(1.2 * 8000, abs=10)


def test_what_it_took_a_source_to_begin_anew_is_not_collected_again() -> None:
    player = Player(MONO, WAITING)
    for now_s in (0.0, 0.1, 0.2, 0.3):
        player.push(level(1000), now_s)
    player.renew()
    heard_until(player, PlayerState.DRY, BLOCK)

    assert needed_after_a_gap(player, 1.5) == pytest.approx(WAITING.rebuffer_s * 8000, abs=10)
    assert player.underruns == 1


def broken_off(*, arrivals: int) -> Player:
    """A player that is dry because its source, which had sent 50 ms each 25 ms, broke off and begins anew."""
    player = Player(MONO, WAITING)
    for index in range(arrivals):
        player.push(level(400), index * 0.025)
    heard_until(player, PlayerState.DRY, BLOCK)
    heard(player, BLOCK)
    player.renew()
    return player


def test_after_a_source_that_broke_off_no_more_is_collected_than_it_needed_until_then() -> None:
    assert needed_after_a_gap(broken_off(arrivals=12), 5.0) == pytest.approx(0.025 * 8000, abs=10)
    assert needed_after_a_gap(broken_off(arrivals=2), 5.0) == WAITING.rebuffer_s * 8000, "of this one nothing is known"


def test_a_source_that_broke_off_is_not_taken_for_an_uneven_one() -> None:
    player = broken_off(arrivals=12)
    needed_after_a_gap(player, 5.0)
    heard_until(player, PlayerState.DRY, BLOCK)
    heard(player, BLOCK)

    assert needed_after_a_gap(player, 5.0) == WAITING.rebuffer_s * 8000, "the first gap of its own making"
    assert player.underruns == 2


def test_a_gap_after_a_source_had_begun_anew_in_time_is_one_of_its_own_making() -> None:
    player = Player(MONO, WAITING)
    for index in range(12):
        player.push(level(400), index * 0.025)
    heard(player, BLOCK)
    player.renew()
    player.push(level(400), 0.6)
    heard_until(player, PlayerState.DRY, BLOCK, at_most=6_000)
    heard(player, BLOCK)

    assert needed_after_a_gap(player, 0.6) == WAITING.rebuffer_s * 8000


def test_a_source_slower_than_speech_is_collected_from_for_twenty_seconds_of_sound() -> None:
    player = Player(MONO, WAITING)
    for index in range(21):
        player.push(level(380), index * 0.05)  # 0.0475 s of sound each 0.05 s: 0.95 of the pace of speech
    heard_until(player, PlayerState.DRY, BLOCK, at_most=10_000)

    # Of the pace of so short a time 0.05 is not believed.
    assert needed_after_a_gap(player, 1.05) == pytest.approx((0.05 + 0.05) * 20 * 8000, abs=10)


def test_a_source_that_waited_for_the_device_was_not_late() -> None:
    player = Player(MONO, WAITING)
    player.push(level(16_000), 0.0)
    player.push(level(100), 5.0)  # the device took so long to open
    heard_until(player, PlayerState.DRY, BLOCK, at_most=20_000)

    assert needed_after_a_gap(player, 5.0) == 800


def test_a_source_that_waited_for_the_ear_was_late_only_from_when_there_was_room() -> None:
    player = Player(MONO, WAITING)
    player.push(level(16_000), 0.0)
    heard(player, 8000)
    player.push(level(100), 1.0)  # of this second a tenth of what may be held had to be heard first
    heard_until(player, PlayerState.DRY, BLOCK, at_most=20_000)

    assert needed_after_a_gap(player, 1.0) == pytest.approx(0.8 * 8000, abs=10)


def test_a_source_whose_text_rested_was_not_late() -> None:
    player = Player(MONO, WAITING)
    player.push(level(800), 0.0)
    player.rest()
    heard(player, 1000)
    player.push(level(800), 9.0)
    heard_until(player, PlayerState.DRY, BLOCK)

    assert needed_after_a_gap(player, 9.0) == 800


# --- the record --------------------------------------------------------------------------------------------------


def test_levels_are_measured_while_sound_plays_and_more_is_due_and_only_then() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1), AT_ONCE)
    heard(player, BLOCK)
    assert (player.buffer_mean_frames, player.buffer_least_frames) == (None, None)
    player.push(level(321), AT_ONCE)
    heard(player, 100)
    heard(player, 100)
    assert (player.buffer_mean_frames, player.buffer_least_frames) == (250.0, 200)
    player.finish()
    heard_until(player, PlayerState.ENDED, 100)
    assert (player.buffer_mean_frames, player.buffer_least_frames) == (250.0, 200)


def test_of_what_was_there_whole_before_it_sounded_no_level_is_told() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500), AT_ONCE)
    player.rest()
    heard(player, 600)

    assert (player.buffer_mean_frames, player.buffer_least_frames) == (None, None)
