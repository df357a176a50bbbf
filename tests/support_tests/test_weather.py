from dataclasses import replace
from statistics import mean, stdev

import pytest

from tests.support.weather import HOTEL, LAN, MOBILE_4G, WEATHER, Line, Profile, slower_than

BLOCK_BYTES = 960
EVERY_S = 0.01
MINUTES_S = 120.0


def arrivals(profile: Profile, seed: int = 1, began_s: float = 0.0) -> list[float]:
    """How long each of the blocks of two minutes is on its way."""
    line = Line(profile, seed, began_s)
    # Never just where one delay gives way to the next: what rounding makes of that depends on the hour.
    sent = [began_s + (block + 0.5) * EVERY_S for block in range(round(MINUTES_S / EVERY_S))]
    return [line.due_s(at_s, BLOCK_BYTES) - at_s for at_s in sent]


@pytest.mark.parametrize("profile", WEATHER, ids=lambda profile: profile.name)
def test_nothing_arrives_before_what_was_sent_earlier(profile: Profile) -> None:
    line = Line(profile, 1, 0.0)
    due = [line.due_s(block * EVERY_S, BLOCK_BYTES) for block in range(12_000)]
    assert due == sorted(due)


@pytest.mark.parametrize("profile", WEATHER, ids=lambda profile: profile.name)
def test_the_same_seed_is_the_same_weather_at_any_hour_and_another_seed_is_not(profile: Profile) -> None:
    first = arrivals(profile, seed=7)
    assert arrivals(profile, seed=7, began_s=1000.0) == pytest.approx(first, abs=1e-9)
    assert arrivals(profile, seed=8) != pytest.approx(first, abs=1e-9)


def test_how_an_answer_is_cut_into_blocks_does_not_change_the_weather() -> None:
    whole, halves = Line(HOTEL, 3, 0.0), Line(HOTEL, 3, 0.0)
    for block in range(2000):
        at_s = block * EVERY_S
        halves.due_s(at_s, BLOCK_BYTES // 2)
        assert halves.due_s(at_s, BLOCK_BYTES // 2) == pytest.approx(whole.due_s(at_s, BLOCK_BYTES), abs=1e-9)


def test_a_delay_is_half_a_round_trip_and_jitter_about_it() -> None:
    calm = replace(HOTEL, stall_every_s=None, rate_bytes_per_s=None)
    line = Line(calm, 5, 0.0)
    # Sent so far apart that no block waits for the one before it.
    delays = [line.due_s(at_s, BLOCK_BYTES) - at_s for at_s in range(4000)]
    assert min(delays) >= 0.0
    assert mean(delays) == pytest.approx(calm.rtt_s / 2, abs=0.01)
    assert stdev(delays) == pytest.approx(calm.jitter_s, rel=0.25)  # less: none arrives before it was sent


def test_in_a_stream_order_makes_lateness_longer_than_its_cause() -> None:
    calm = replace(MOBILE_4G, stall_every_s=None)
    delays = arrivals(calm)
    assert calm.rtt_s / 2 < mean(delays) < calm.rtt_s / 2 + 2 * calm.jitter_s
    assert max(delays) > calm.rtt_s / 2 + 2 * calm.jitter_s


@pytest.mark.parametrize("profile", [MOBILE_4G, HOTEL], ids=lambda profile: profile.name)
def test_losses_come_as_often_and_last_as_long_as_the_profile_says(profile: Profile) -> None:
    assert profile.stall_every_s is not None
    stalls = [stall for stall in Line(profile, 11, 0.0).stalls(4000.0) if stall[0] < 4000.0]
    least_s, most_s = profile.stall_s
    assert all(least_s <= end - begin <= most_s for begin, end in stalls)
    assert 4000.0 / len(stalls) == pytest.approx(profile.stall_every_s + mean(profile.stall_s), rel=0.15)


def test_during_a_stall_nothing_arrives_and_all_of_it_comes_at_its_end() -> None:
    line = Line(HOTEL, 2, 0.0)
    due = [line.due_s(block * EVERY_S, BLOCK_BYTES) for block in range(6000)]
    for begin, end in line.stalls(due[-1]):
        assert not [at_s for at_s in due if begin <= at_s < end]
    begin, end = line.stalls(0.0)[0]
    assert due.count(end) >= 0.5 * (end - begin) / EVERY_S


def test_a_bucket_passes_its_rate_and_no_more_than_one_burst_besides() -> None:
    profile = slower_than(48_000)
    line = Line(profile, 0, 0.0)
    due = [line.due_s(0.0, 480) for _ in range(1000)]
    assert due[-1] == pytest.approx((480_000 - profile.burst_bytes) / 43_200, abs=0.01)
    line.due_s(1000.0, 480)  # a pause does not save up more than the burst
    late = [line.due_s(1000.0, 480) - 1000.0 for _ in range(100)]
    assert late[-1] == pytest.approx((101 * 480 - profile.burst_bytes) / 43_200, abs=0.01)


def test_a_lan_is_next_to_nothing() -> None:
    assert max(arrivals(LAN)) < 0.001
