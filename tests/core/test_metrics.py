"""What is measured of an utterance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.metrics import FirstSound, Metrics

WHOLE = FirstSound(
    arrived_s=10.0,
    ready_s=10.002,
    floor_s=10.102,
    request_s=10.104,
    connect_s=0.03,
    byte_s=10.304,
    frame_s=10.305,
    left_s=10.345,
    heard_s=10.375,
)
STAGES = ["text_ms", "queue_ms", "connect_ms", "server_ms", "decode_ms", "prebuffer_ms", "device_ms"]


def test_the_way_of_the_first_frame_is_split_into_its_stages() -> None:
    assert WHOLE.split() == {
        "text_ms": 4.0,
        "queue_ms": 100.0,
        "connect_ms": 30.0,
        "server_ms": 170.0,
        "decode_ms": 1.0,
        "prebuffer_ms": 40.0,
        "device_ms": 30.0,
    }
    assert WHOLE.total_ms == 375.0


@given(steps=st.lists(st.floats(0, 5), min_size=7, max_size=7), connect_s=st.floats(0, 1))
def test_the_stages_add_up_to_the_whole(steps: list[float], connect_s: float) -> None:
    moments = [1_000.0]
    for step in steps:
        moments.append(moments[-1] + step)
    arrived, ready, floor, request, byte, frame, left, heard = moments
    first = FirstSound(arrived, ready, floor, request, connect_s, byte, frame, left, heard)
    split = first.split()
    assert split is not None
    assert list(split) == STAGES

    assert all(ms >= 0 for ms in split.values())
    assert sum(split.values()) == pytest.approx(first.total_ms, abs=0.5)


def test_what_was_never_heard_has_no_stages() -> None:
    assert FirstSound(arrived_s=0.0, ready_s=0.1).split() is None
    assert FirstSound(arrived_s=0.0, ready_s=0.1).total_ms is None


def test_of_an_utterance_without_sound_nothing_is_made_up() -> None:
    data = Metrics(FirstSound(0.0)).as_data()

    assert [name for name, value in data.items() if value is None] == [
        *("ttfa_ms", "ttfa", "buffer_mean_ms", "buffer_least_ms", "pace", "decode_ms_per_s")
    ]
    assert not data["cached"]


def test_only_an_utterance_whose_every_request_was_kept_is_cached() -> None:
    assert Metrics(WHOLE, requests=2, kept=2).as_data()["cached"]
    assert not Metrics(WHOLE, requests=2, kept=1).as_data()["cached"]


def test_decoding_is_told_for_each_second_of_audio() -> None:
    assert Metrics(WHOLE, received_s=10.0, decode_s=0.02).as_data()["decode_ms_per_s"] == 2.0
