from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ports import LOOPBACK, refusing_port


@pytest.fixture
def dead_endpoint() -> Iterator[str]:
    """The base URL of an endpoint that refuses every connection."""
    with refusing_port() as port:
        yield f"http://{LOOPBACK}:{port}/v1"
