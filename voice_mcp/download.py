"""Fetching a large file over HTTP, and going on where the last attempt ended. The other home of httpx2.

What arrives is whatever the server sends: whoever asks checks that it is the right thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from voice_mcp.errors import DownloadFailed
from voice_mcp.offline import is_this_machine
from voice_mcp.reasons import why_not_connected

CONNECT_S = 10.0
SILENCE_S = 30.0
"""How long a server may send nothing."""
_FOUND, _PART, _BEYOND = 200, 206, 416


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is arriving."""

    from_byte: int
    """Where it begins: where it was asked to, or at 0 when the server cannot do that."""
    blocks: Iterator[bytes]
    """Raises DownloadFailed when it breaks off."""


@contextmanager
def fetch(address: str, from_byte: int = 0) -> Iterator[Arrival]:
    """Ask for a file.

    Args:
        address: Where it is. Redirects are followed.
        from_byte: How much of it there is already.

    Raises:
        DownloadFailed: There is no network, no answer, or no such file.
    """
    import httpx2  # 100 ms, which commands without a download do without

    host = _host(address)
    headers = {"User-Agent": "voice-mcp", "Accept-Encoding": "identity"}
    if from_byte:
        headers["Range"] = f"bytes={from_byte}-"
    timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    try:
        with (
            # A proxy from the environment must not come between us and our own machine.
            httpx2.Client(follow_redirects=True, timeout=timeout, trust_env=not is_local(address)) as client,
            client.stream("GET", address, headers=headers) as response,
        ):
            begins = _begins(response.status_code, response.headers.get("Content-Range", ""), from_byte)
            if begins is None:
                raise _refused(response.status_code, host)
            yield Arrival(begins, response.iter_raw())
    except httpx2.TimeoutException as exc:
        raise DownloadFailed(f"{host} did not answer in time.") from exc
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        raise DownloadFailed(f"{host} cannot be read from: {why_not_connected(exc).words}.") from exc


def is_local(address: str) -> bool:
    """Whether an address leads nowhere but to this machine."""
    return is_this_machine(_host(address))


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or address
    except ValueError as exc:  # brackets that do not match
        raise DownloadFailed(f"{address} is no address.", hint="Correct what follows `--from`.") from exc


def _begins(status: int, content_range: str, from_byte: int) -> int | None:
    """Where an answer begins; None when it is none."""
    if status == _FOUND:
        return 0
    if status == _PART and content_range.startswith(f"bytes {from_byte}-"):
        return from_byte
    return None


def _refused(status: int, host: str) -> DownloadFailed:
    if status in (_PART, _BEYOND):
        return DownloadFailed(f"{host} does not go on where the last attempt ended ({status}).", begin_anew=True)
    hint = "Try again later, or fetch the file in another way and use `--from`."
    return DownloadFailed(f"{host} refused the file ({status}).", hint=hint)
