"""How long a device is waited for."""

from __future__ import annotations

import pytest

from voice_mcp.playback.patience import RETRY_S, Patience


def test_the_first_try_after_a_loss_is_made_at_once_and_the_next_ones_at_their_pace() -> None:
    patience = Patience(5.0, 0.0)
    assert patience.allows_loss_at(100, 10.0)
    assert patience.pause_s(10.0) == 0
    patience.failed(10.1)
    assert patience.pause_s(10.1) == pytest.approx(RETRY_S - 0.1)


def test_it_is_over_after_the_time_that_was_set_and_a_last_try_is_made_then() -> None:
    patience = Patience(0.7, 0.0)
    patience.allows_loss_at(100, 10.0)
    tries, now_s = [], 10.0
    while patience.lasts(now_s):
        now_s += patience.pause_s(now_s)
        tries.append(round(now_s - 10.0, 6))
        patience.failed(now_s)
    assert tries == [0.0, RETRY_S, 0.7]


def test_without_a_wait_there_is_no_other_try() -> None:
    patience = Patience(0.0, 0.0)
    assert not patience.lasts(0.0)
    assert not patience.allows_loss_at(100, 10.0)


def test_a_loss_after_more_was_heard_starts_a_wait_of_its_own() -> None:
    patience = Patience(5.0, 0.0)
    patience.allows_loss_at(100, 10.0)
    assert patience.allows_loss_at(101, 14.9)
    assert patience.pause_s(14.9) == 0
    assert patience.lasts(19.8)
    assert not patience.lasts(19.9)


def test_a_device_that_lets_nothing_be_heard_is_not_tried_for_ever_nor_in_haste() -> None:
    patience = Patience(2.0, 0.0)
    tries, now_s = 0, 0.0
    while patience.allows_loss_at(100, now_s):
        now_s += patience.pause_s(now_s) + 0.001
        tries += 1
    assert now_s < 2.0 + RETRY_S
    assert tries <= 2.0 / RETRY_S + 2
