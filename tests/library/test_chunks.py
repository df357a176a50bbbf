"""How much sound is handed over at a time, by the clock of whoever plays it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voice_mcp.library.chunks import FRAME_S, ChunkPlan


def played(plan: ChunkPlan, pace: float, seconds: float) -> tuple[list[int], list[float]]:
    """Sizes of the chunks that a generator of so many times real time hands over, and the waits of a listener.

    The listener plays each chunk as soon as the one before it is over.
    """
    now_s, ends_s, made_s = 0.0, 0.0, 0.0
    sizes, waits = list[int](), list[float]()
    while made_s < seconds:
        size = plan.size_frames
        sizes.append(size)
        made_s += size * FRAME_S
        now_s += size * FRAME_S / pace
        if len(sizes) > 1:
            waits.append(max(0.0, now_s - ends_s))
        ends_s = max(ends_s, now_s) + size * FRAME_S
        plan.given(size * FRAME_S, now_s)
    return sizes, waits


def test_the_first_chunk_is_one_frame() -> None:
    assert ChunkPlan(20).size_frames == 1


@pytest.mark.parametrize("pace", [3.0, 10.0, 100.0])
def test_chunks_of_a_fast_generator_double_up_to_the_longest(pace: float) -> None:
    sizes, waits = played(ChunkPlan(20), pace, 30.0)
    assert sizes[:7] == [1, 1, 2, 4, 8, 16, 20]
    assert set(sizes[6:]) == {20}
    assert max(waits) == 0.0


@pytest.mark.parametrize("pace", [1.05, 1.2, 1.5, 1.8, 2.0])
def test_whoever_plays_a_generator_a_little_faster_than_speech_never_runs_dry(pace: float) -> None:
    sizes, waits = played(ChunkPlan(20), pace, 120.0)
    assert max(waits) == 0.0
    assert max(sizes) > 5


@pytest.mark.parametrize("pace", [0.5, 0.8, 0.95])
def test_a_generator_slower_than_speech_pauses_rarely(pace: float) -> None:
    sizes, waits = played(ChunkPlan(20), pace, 60.0)
    assert set(sizes[3:]) == {20}
    assert sum(wait > 0 for wait in waits) <= 60.0 / (20 * FRAME_S) + 3


def test_a_longest_chunk_of_one_frame_is_kept_to() -> None:
    sizes, _ = played(ChunkPlan(1), 50.0, 2.0)
    assert set(sizes) == {1}


@pytest.mark.parametrize("most", [1, 2, 3, 7, 20, 100])
@pytest.mark.parametrize("rule", [lambda n: n, lambda n: 3 * n, lambda n: 1.0])
def test_no_chunk_is_empty_or_longer_than_asked(most: int, rule: Callable[[int], float]) -> None:
    plan = ChunkPlan(most)
    for number in range(40):
        assert 1 <= plan.size_frames <= most
        plan.given(plan.size_frames * FRAME_S, rule(number))
