"""A file over HTTP: from the beginning, from the middle, and what goes wrong, from a real server."""

from __future__ import annotations

import pytest

from tests.support.file_server import FileServer
from tests.support.ports import LOOPBACK, refusing_port
from voice_mcp.download import fetch, is_local
from voice_mcp.errors import DownloadFailed

CONTENT = bytes(range(256)) * 2000


def fetched(address: str, from_byte: int = 0) -> tuple[int, bytes]:
    with fetch(address, from_byte) as arrival:
        return arrival.from_byte, b"".join(arrival.blocks)


def test_a_file_comes_whole() -> None:
    with FileServer(CONTENT) as server:
        assert fetched(server.address) == (0, CONTENT)
        assert server.ranges == [None]


def test_a_server_that_can_goes_on_in_the_middle() -> None:
    with FileServer(CONTENT) as server:
        assert fetched(server.address, 1000) == (1000, CONTENT[1000:])


def test_a_server_that_cannot_begins_anew() -> None:
    with FileServer(CONTENT, resumes=False) as server:
        assert fetched(server.address, 1000) == (0, CONTENT)


def test_a_redirect_is_followed() -> None:
    with FileServer(CONTENT) as server:
        server.redirects.append(server.address)
        assert fetched(server.address) == (0, CONTENT)


def test_what_comes_before_it_breaks_off_is_handed_over() -> None:
    with FileServer(CONTENT) as server, pytest.raises(DownloadFailed, match="cannot be read from"):
        server.breaks.append(70_000)
        with fetch(server.address) as arrival:
            received = 0
            for block in arrival.blocks:
                received += len(block)
                assert received <= 70_000


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_told_with_its_status(status: int) -> None:
    with FileServer(CONTENT, status=status) as server, pytest.raises(DownloadFailed, match=f"refused.*{status}"):
        fetched(server.address)


def test_a_part_beyond_the_end_asks_to_begin_anew() -> None:
    with FileServer(CONTENT) as server, pytest.raises(DownloadFailed) as failed:
        fetched(server.address, len(CONTENT))
    assert failed.value.begin_anew


def test_nobody_there_is_told_with_the_host() -> None:
    with refusing_port() as port, pytest.raises(DownloadFailed, match=r"127\.0\.0\.1 cannot be read from") as failed:
        fetched(f"http://{LOOPBACK}:{port}/x")
    assert failed.value.retryable


@pytest.mark.parametrize("address", ["http://", "http://[half", "https://host:99999/x"])
def test_an_address_that_is_none_is_told_and_no_traceback(address: str) -> None:
    with pytest.raises(DownloadFailed):
        fetched(address)


@pytest.mark.parametrize(
    ("address", "local"),
    [("http://127.0.0.1:80/x", True), ("http://localhost/x", True), ("https://example.org", False)],
)
def test_only_this_machine_is_local(address: str, local: bool) -> None:
    assert is_local(address) is local
