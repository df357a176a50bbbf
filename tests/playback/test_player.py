"""What the device gets and when: the player with nothing around it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

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
LOUD = 10_000
BLOCK_SIZES = pytest.mark.parametrize("block", [1, 7, 39, 40, 64, 80, 113, 240, 1000])


def samples(count: int, first: int = 0) -> list[int]:
    """Every one different from its neighbours, all loud."""
    return [1000 + index % 30_000 for index in range(first, first + count)]


def packed(values: Sequence[int]) -> bytes:
    return array("h", values).tobytes()


def level(frames: int, value: int = LOUD) -> bytes:
    return packed([value] * frames)


def heard(player: Player, frames: int, fmt: PcmFormat = MONO) -> list[int]:
    """The samples of one block."""
    block = bytearray(b"\x55" * (frames * fmt.frame_bytes))  # whatever the device left there last time
    player.render(memoryview(block))
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
    player.push(level(frames))
    return player, heard_until(player, PlayerState.DRY, block)


# --- start -------------------------------------------------------------------------------------------------------


def test_nothing_sounds_before_enough_is_held() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1))

    assert set(heard(player, BLOCK)) == {0}
    assert player.state is PlayerState.FILLING
    assert player.played_frames == 0
    assert not player.events


def test_sound_starts_with_the_first_block_after_enough_is_held() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1))
    heard(player, BLOCK)
    player.push(level(GAP_FADE_FRAMES + 1))

    assert set(heard(player, BLOCK)) == {LOUD}
    assert player.events[0] == PlayerEvent(PlaybackEventType.STARTED, frame=0, block_offset_frames=0)


def test_what_is_shorter_than_the_first_buffer_starts_once_it_is_finished() -> None:
    player = Player(MONO, POLICY)
    player.push(level(3))
    assert set(heard(player, BLOCK)) == {0}
    player.finish()

    assert heard(player, BLOCK) == [LOUD] * 3 + [0] * (BLOCK - 3)


def test_the_first_buffer_is_never_longer_than_the_most_that_may_be_held() -> None:
    player = Player(MONO, BufferPolicy(start_s=1.0, rebuffer_s=1.0, most_s=0.01))
    player.push(level(80 + GAP_FADE_FRAMES))

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
        player.push(packed(sent[at : at + chunk * fmt.channels]))
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
        player.push(sent[at : at + 4 * chunk])
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
    player.push(level(1))
    assert player.take(100) == level(1)
    assert player.take(100) == b""
    player.push(level(1))
    assert player.take(100) == level(1)
    assert kinds(player) == [PlaybackEventType.STARTED, PlaybackEventType.FIRST_AUDIO]


def test_a_sink_that_keeps_no_time_gets_nothing_after_a_stop() -> None:
    player = Player(MONO, POLICY)
    player.push(level(100))
    player.take(20)
    player.stop()

    assert player.take(100) == b""
    assert player.state is PlayerState.ENDED
    assert of(player, PlaybackEventType.ENDED)[0].frame == 10


@pytest.mark.parametrize(("fmt", "size"), [(MONO, 1), (STEREO, 2), (STEREO, 5)])
def test_bytes_that_are_no_whole_frames_are_refused(fmt: PcmFormat, size: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        Player(fmt, POLICY).push(bytes(size))


def test_frames_after_the_finish_are_not_taken() -> None:
    player = Player(MONO, POLICY)
    player.push(level(10))
    player.finish()
    player.push(level(10))

    assert player.buffered_frames == 10


def test_frames_after_a_stop_are_not_taken() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500))
    heard(player, BLOCK)
    player.stop()
    player.push(level(10))
    assert player.buffered_frames == 500 - BLOCK
    heard_until(player, PlayerState.ENDED, BLOCK)
    player.push(level(10))

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
    player.push(level(1500))
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
    player.push(level(REBUFFER_FRAMES))
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
        player.push(level(needed - 1 - player.buffered_frames))
        assert not any(heard(player, BLOCK))
        player.push(level(1))
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
    player.push(packed([LOUD, -LOUD] * 200))
    out: list[int] = []
    while player.state is not PlayerState.DRY:
        out += heard(player, BLOCK, STEREO)

    assert out[0::2] == [-sample for sample in out[1::2]]
    assert any(0 < sample < LOUD for sample in out[0::2])


def test_a_gap_the_device_tells_of_is_counted_while_sound_plays_and_only_then() -> None:
    player = Player(MONO, POLICY, drain_frames=1000)
    player.count_device_gap()
    assert player.underruns == 0
    player.push(level(500))
    heard(player, BLOCK)
    player.count_device_gap()

    assert player.underruns == 1
    assert kinds(player)[-2:] == [PlaybackEventType.UNDERRUN, PlaybackEventType.RESUMED]
    player.finish()
    heard_until(player, PlayerState.DRAINING, BLOCK)
    player.count_device_gap()
    assert player.underruns == 1


# --- stop --------------------------------------------------------------------------------------------------------


@BLOCK_SIZES
def test_a_stop_fades_over_8_ms_and_then_there_is_silence(block: int) -> None:
    player = Player(MONO, POLICY)
    player.push(level(3000))
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
    player.push(level(BLOCK + 10))
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
    player.push(level(START_FRAMES))
    out: list[int] = []
    while not any(sample < LOUD for sample in out):
        out += heard(player, 8)
    player.stop()
    out += heard_until(player, PlayerState.ENDED, 8)

    assert max(a - b for a, b in zip(out, out[1:], strict=False)) < 0.05 * LOUD


def test_a_stop_before_the_first_sound_plays_nothing() -> None:
    player = Player(MONO, POLICY)
    player.push(level(START_FRAMES - 1))
    heard(player, BLOCK)
    player.stop()

    assert not any(heard(player, BLOCK))
    assert player.played_frames == 0
    assert list(player.events) == [PlayerEvent(PlaybackEventType.ENDED, 0, 0)]


def test_a_second_stop_changes_nothing() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500))
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
    player.push(level(500))
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
    player.push(level(160))
    player.finish()
    heard_frames = len(heard_until(player, PlayerState.ENDED, block))

    assert heard_frames >= 160 + drain
    assert heard_frames - block < 160 + drain, "not a block later than needed"
    ended = of(player, PlaybackEventType.ENDED)[0]
    assert ended.frame == 160
    assert player.silent_frames == heard_frames - 160


def test_a_stop_while_the_device_plays_out_ends_at_once() -> None:
    player = Player(MONO, POLICY, drain_frames=1000)
    player.push(level(100))
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
    player.push(level(10))
    assert player.needs_device
    player.finish()
    heard_until(player, PlayerState.DRAINING, 10)
    assert player.needs_device


# --- what is told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loud", [104, -104, 32767, -32768])
def test_first_audio_is_the_first_frame_above_the_noise_floor(loud: int) -> None:
    player = Player(MONO, POLICY)
    player.push(packed([0] * 100 + [103, -103] * 25 + [loud] + [0] * 500))
    heard(player, BLOCK)
    assert not of(player, PlaybackEventType.FIRST_AUDIO)
    heard(player, BLOCK)
    heard(player, BLOCK)

    assert of(player, PlaybackEventType.FIRST_AUDIO) == [PlayerEvent(PlaybackEventType.FIRST_AUDIO, 150, 150 - BLOCK)]


def test_first_audio_counts_frames_and_not_samples() -> None:
    player = Player(STEREO, POLICY)
    player.push(packed([0] * 15 + [LOUD] + [0] * 400))
    heard(player, BLOCK, STEREO)

    assert of(player, PlaybackEventType.FIRST_AUDIO)[0].frame == 7


def test_silence_is_never_called_first_audio() -> None:
    player = Player(MONO, POLICY)
    player.push(level(500, 103))
    player.finish()
    heard_until(player, PlayerState.ENDED, BLOCK)

    assert not of(player, PlaybackEventType.FIRST_AUDIO)


@BLOCK_SIZES
def test_positions_rise_and_come_every_40_ms_or_block(block: int) -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(4000)))
    player.finish()
    heard_until(player, PlayerState.ENDED, block)
    told = [event.frame for event in of(player, PlaybackEventType.POSITION)]

    assert told == sorted(set(told))
    assert max(b - a for a, b in zip([0, *told], told, strict=False)) <= 320 + block
    assert told[-1] <= 4000


def test_a_rest_lets_everything_out_and_the_pause_after_it_is_no_gap() -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(200)))
    player.rest()
    assert heard(player, 240) == samples(200) + [0] * 40
    assert heard(player, BLOCK) == [0] * BLOCK
    player.push(packed(samples(200, first=200)))
    player.push(packed(samples(200, first=400)))
    assert heard(player, 240) == samples(240, first=200)
    assert player.underruns == 0
    assert len(of(player, PlaybackEventType.STARTED)) == 1


def test_a_gap_after_a_rest_is_a_gap_again() -> None:
    player = Player(MONO, POLICY)
    player.push(packed(samples(100)))
    player.rest()
    heard(player, 160)
    player.push(level(100))
    heard(player, 160)
    player.push(level(REBUFFER_FRAMES + 200))
    heard(player, BLOCK)
    assert player.underruns == 1


def test_a_buffer_that_is_filled_again_before_the_next_block_leaves_no_gap_to_count() -> None:
    player = Player(MONO, POLICY)
    player.push(level(100))
    heard(player, BLOCK)
    assert player.state is PlayerState.DRY
    player.push(level(MOST_FRAMES))
    faded_in = heard(player, BLOCK)
    assert 0 < faded_in[0] < faded_in[-1] == LOUD
    assert (player.underruns, player.inserted_silence_frames) == (0, 0)


def test_sound_never_starts_with_less_than_the_device_takes_at_once() -> None:
    player = Player(MONO, BufferPolicy(start_s=0.001))
    player.fit_to_device(period_frames=160, latency_frames=480)
    player.push(level(160))
    assert heard(player, 160) == [0] * 160
    player.push(level(GAP_FADE_FRAMES))
    assert heard(player, 160) == [LOUD] * 160
    assert player.drain_frames == 640
