"""The SDK over a transport of our making: bounded, watched, and going nowhere else. Imports the SDK: load it lazily."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import openai

from voice_mcp.errors import EngineError
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.reasons import CONNECT_S

MOST_LISTED_BYTES = 8 << 20
"""Of an answer that is no speech (an error, a list) no more is read: some do not end."""
ENVIRONMENT_HINT = "Check SSL_CERT_FILE, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY in the environment."
TRACE = "trace"
"""The request extension that is told what the transport does. Source: httpcore, "Request extensions"."""


def make_sdk(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """A client of the SDK for ``endpoint``; it connects when it is first used.

    Raises:
        EngineError: The environment names certificates or a proxy that cannot be used.
    """
    try:
        return _sdk(endpoint)
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as exc:
        raise EngineError(f"{endpoint.host} cannot be asked: {str(exc).rstrip('.')}.", hint=ENVIRONMENT_HINT) from exc


def _sdk(endpoint: Endpoint) -> openai.AsyncOpenAI:
    timeout = openai.Timeout(None, connect=CONNECT_S)
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key or "none",
        max_retries=0,  # what to do after a failure is decided in core/failover.py, once
        timeout=timeout,  # every other wait is bounded where it is waited, by one rule
        http_client=openai.DefaultAsyncHttpxClient(
            # A proxy from the environment must not come between us and our own machine,
            trust_env=not endpoint.is_local,
            # but whom to trust is read from SSL_CERT_FILE for every endpoint.
            verify=httpx2.create_ssl_context(),
            # A redirect would take the text to a host that nobody has set.
            follow_redirects=False,
            # Sound gains nothing from gzip, and servers that compress hold it back until there is enough of it.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [_watch], "response": [_bound]},
        ),
    )


class Dial:
    """How a request came by its connection; told by the transport."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """What finding the address, TCP and TLS took; 0 when the connection was there."""
        self._began_s: float | None = None

    @property
    def is_new(self) -> bool:
        """Whether the connection was made for this request, or was to be."""
        return self._began_s is not None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            self._began_s = time.perf_counter()
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")) and self._began_s is not None:
            self.seconds = time.perf_counter() - self._began_s


def was_kept_too_long(exc: openai.APIConnectionError) -> bool:
    """Whether a request failed because the connection it was given, an old one, was dead: no answer had begun."""
    dial = exc.request.extensions.get(TRACE)
    return isinstance(dial, Dial) and not dial.is_new and not isinstance(exc, openai.APITimeoutError)


async def _watch(request: httpx2.Request) -> None:
    request.extensions[TRACE] = Dial()


async def _bound(response: httpx2.Response) -> None:
    is_speech = response.is_success and response.request.method == "POST"
    if not is_speech and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Beginning(response.stream)


class _Beginning(httpx2.AsyncByteStream):
    """The first ``MOST_LISTED_BYTES`` bytes of a stream."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left_bytes = MOST_LISTED_BYTES
        async for block in self._stream:
            yield block[:left_bytes]
            left_bytes -= len(block)
            if left_bytes <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
