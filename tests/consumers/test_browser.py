"""A real browser plays what the writer streams, while it is being made, and plays it to the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.browser import chromium, looking_at
from tests.consumers.hearing import Hearing, hearing
from tests.consumers.stream_server import FORMATS, LENGTH_S, TONES_HZ, WINDOW_S, Exchange, stream_server

REPORT_WITHIN_S = 60.0
"""For all formats; half a minute of it is what a slow machine may take longer."""
REQUIRED = os.environ.get("VOICEMCP_REQUIRE_TOOLS") == "1"
PROGRAM = chromium()

pytestmark = pytest.mark.skipif(PROGRAM is None and not REQUIRED, reason="Neither Chromium nor Chrome is installed.")

MOST_ADDED_S = 0.15
"""What MPEG codecs have before the first frame and after the last."""
MOST_MISSING_S = 0.1
"""Chromium tells the length of some streams by where the last packet begins; it is played all the same."""
MEDIA_SOURCE_FORMATS = ("mp3", "aac")
"""Those whose media type Media Source Extensions have."""


@dataclass(frozen=True, slots=True)
class Session:
    """All that was played in one browser."""

    formats: dict[str, Any]
    exchange: Exchange

    def element(self, format: str) -> Hearing:
        """How an ``<audio>`` element played it."""
        self._skip_where_unknown(format)
        return hearing(self.formats[format]["element"])

    def media_source(self, format: str) -> Hearing:
        """How it was played when a script handed it over."""
        report = self.formats[format]["media_source"]
        if report is None:
            self._skip_where_unknown(format)
            pytest.fail(f"The browser plays {format}, but not by Media Source Extensions.")
        return hearing(report)

    def _skip_where_unknown(self, format: str) -> None:
        # Chromium may be built without AAC.
        if not self.formats[format]["can_play"] and not REQUIRED:
            pytest.skip(f"This browser cannot play {format}.")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Every format played once, one browser for all tests here."""
    assert PROGRAM is not None, "Neither Chromium nor Chrome is installed."
    home: Path = tmp_path_factory.mktemp("browser")
    with stream_server() as server, looking_at(f"{server.url}/play", PROGRAM, home) as complaints:
        exchange = server.exchange
        told = exchange.reported.wait(REPORT_WITHIN_S)
        assert told, f"The page told nothing.\n{complaints.read_text(errors='replace')[-4_000:]}"
        assert "error" not in exchange.report, exchange.report["error"]
        yield Session(exchange.report["formats"], exchange)


@pytest.mark.parametrize("format", FORMATS)
def test_every_second_is_heard_the_last_one_too(format: str, session: Session) -> None:
    assert_all_was_heard(session.element(format))


@pytest.mark.parametrize("format", FORMATS)
def test_the_length_and_the_place_it_ends_at_are_right(format: str, session: Session) -> None:
    heard = session.element(format)

    assert LENGTH_S - MOST_MISSING_S <= heard.length_s <= LENGTH_S + MOST_ADDED_S
    assert heard.position_s == pytest.approx(heard.length_s, abs=0.01)


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_heard_before_the_last_bytes_are_made(format: str, session: Session) -> None:
    heard = session.element(format)

    assert session.exchange.heard_before_the_rest[f"{format}?by=element"]
    # A length that was made up would be a promise: a player would stop there, or wait for what never comes.
    assert heard.length_when_heard_s > LENGTH_S - MOST_MISSING_S


@pytest.mark.parametrize("format", FORMATS)
def test_the_browser_asks_once_and_takes_all_of_it(format: str, session: Session) -> None:
    session.element(format)
    name = f"{format}?by=element"

    assert [asked for asked, _ in session.exchange.ranges].count(name) == 1
    assert session.exchange.whole[name]


@pytest.mark.parametrize("format", MEDIA_SOURCE_FORMATS)
def test_a_script_can_hand_it_over_in_pieces_and_it_is_heard_at_once_and_to_the_end(
    format: str, session: Session
) -> None:
    heard = session.media_source(format)

    assert_all_was_heard(heard)
    assert session.exchange.heard_before_the_rest[f"{format}?by=mse"]
    assert heard.buffered_s == pytest.approx(heard.length_s, abs=0.001)
    assert LENGTH_S <= heard.length_s <= LENGTH_S + MOST_ADDED_S


def assert_all_was_heard(heard: Hearing) -> None:
    assert heard.error is None
    assert heard.ended
    assert heard.order_hz == TONES_HZ
    for hz, seconds in heard.tones_s:
        # Tones begin and end within a window; a browser short of time may stretch one, and never makes it shorter.
        assert 1 - 1.5 * WINDOW_S < seconds < 1.2, f"{hz} Hz was heard for {seconds:.2f} s"
