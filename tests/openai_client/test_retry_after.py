"""For how long a server asks to be left alone, in every way it can say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from voice_mcp.openai_client.retry_after import seconds_to_wait

MOMENT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("2.5", 2.5), ("999999999999999", 999_999_999_999_999.0)],
)
def test_seconds_are_taken_as_they_are(said: str, seconds: float) -> None:
    assert seconds_to_wait({"retry-after": said}) == seconds


@pytest.mark.parametrize("said", ["", "-1", "nan", "inf", "1e3", "soon", "12 s", "9" * 400, "Fri, 99 Nov 2026", "0x10"])
def test_nonsense_says_nothing(said: str) -> None:
    assert seconds_to_wait({"retry-after": said}) is None


def test_without_the_header_nothing_is_said() -> None:
    assert seconds_to_wait({}) is None


@pytest.mark.parametrize(("later_s", "seconds"), [(90, 90.0), (0, 0.0), (-90, 0.0)])
def test_a_moment_is_as_far_away_as_it_is_from_the_servers_own_date(later_s: int, seconds: float) -> None:
    later = format_datetime(MOMENT + timedelta(seconds=later_s), usegmt=True)
    assert seconds_to_wait({"retry-after": later, "date": format_datetime(MOMENT, usegmt=True)}) == seconds


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
def test_a_moment_of_a_server_without_a_clock_is_judged_by_ours(date: dict[str, str]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    assert seconds_to_wait({"retry-after": later, **date}) == pytest.approx(600, abs=30)
