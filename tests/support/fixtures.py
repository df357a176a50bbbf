"""Fixtures for whoever needs the real counterparts: a sound card and a speech endpoint.

A ``conftest.py`` takes them by name: ``from tests.support.fixtures import pulse_card as pulse_card``. Together with
``pulse_card`` it takes ``pulse_where_marked``, which looks after the tests that start cards themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.endpoint import SpeechEndpoint
from tests.support.pulse import PulseCard, missing_for_pulse

REQUIRE_PULSE = "VOICEMCP_REQUIRE_PULSE"
"""Set to 1 where the sound card has to be tested, so that it cannot be skipped unnoticed."""


@pytest.fixture(autouse=True)
def pulse_where_marked(request: pytest.FixtureRequest) -> None:
    """A test that is marked ``pulse`` is skipped where there can be no card."""
    if request.node.get_closest_marker("pulse") is not None:
        require_pulse()


@pytest.fixture
def pulse_card() -> Iterator[PulseCard]:
    """A 24 kHz mono card. The test is to be marked ``pulse``, and is skipped where there can be no card."""
    require_pulse()
    with PulseCard() as card:
        yield card


@pytest.fixture
def speech_endpoint() -> Iterator[SpeechEndpoint]:
    """A flawless speech endpoint; tell it with ``then`` and ``always`` how to be otherwise."""
    with SpeechEndpoint() as endpoint:
        yield endpoint


def require_pulse() -> None:
    """Skip the test where a ``PulseCard`` cannot be played on; fail it where that is not allowed."""
    missing = missing_for_pulse()
    if missing is None:
        return
    if os.environ.get(REQUIRE_PULSE) == "1":
        pytest.fail(f"{REQUIRE_PULSE}=1, but {missing}")
    pytest.skip(missing)
