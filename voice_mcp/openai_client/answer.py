"""An answer while it arrives: every wait for the next of it is bounded, and so is dribbling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from voice_mcp.errors import EngineError, EngineStalled
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.openai_client.translation import translated

READABLE_ENCODINGS = ("", "identity", "gzip", "deflate")
"""What the transport undoes by itself; of others it hands over the compressed bytes, which would be noise."""
LEAST_BYTES_PER_S = 100
"""Fewer are no speech, not even a tenth of the thinnest: 6 kbit/s in real time are 750."""
PATIENCE_FACTOR = 4.0
"""For how many stall time-outs fewer are put up with: something may be sent long before the sound is."""


class Answer:
    """An answer that has begun. Iterate it once, then close it."""

    def __init__(self, endpoint: Endpoint, pending: Any, response: Any, stall_s: float) -> None:
        self._endpoint = endpoint
        self._host = endpoint.host
        self._pending = pending
        self._response = response
        self._stall_s = stall_s

    @property
    def media_type(self) -> str:
        """The Content-Type header."""
        return str(self._response.headers.get("content-type", ""))

    @property
    def connect_s(self) -> float:
        """Seconds that finding the address, TCP and TLS took; 0 when a connection was open."""
        from voice_mcp.openai_client.transport import TRACE

        return float(self._response.http_request.extensions[TRACE].seconds)

    def check_encoding(self) -> None:
        """See that the body can be read.

        Raises:
            EngineError: It is compressed in a way that was not asked for and is not known here.
        """
        named = str(self._response.headers.get("content-encoding", ""))
        unknown = [name for name in named.lower().split(",") if name.strip() not in READABLE_ENCODINGS]
        if unknown:
            raise EngineError(
                f"{self._host} sent its answer compressed ({unknown[0].strip()[:20]!r}), which it was not asked for.",
                hint="Switch compression off for audio at the endpoint, or at the proxy in front of it.",
            )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in the pieces it came in.

        Raises:
            EngineStalled: Nothing came for too long, or next to nothing; or the body broke off.
        """
        blocks = self._response.iter_bytes().__aiter__()
        now_s = asyncio.get_running_loop().time
        patience_s, come_bytes = self._patience_s, 0
        while True:
            began_s = now_s()
            try:
                with translated(self._endpoint, waited_s=self._stall_s, begun=True):
                    async with asyncio.timeout(self._stall_s):
                        block = await anext(blocks)
            except StopAsyncIteration:
                return
            # Only the waiting counts: what the listener takes its time for is no fault of the server.
            patience_s -= now_s() - began_s
            come_bytes += len(block)
            if come_bytes >= LEAST_BYTES_PER_S * self._patience_s:
                patience_s, come_bytes = self._patience_s, 0
            elif patience_s <= 0:
                raise EngineStalled(f"{self._host} sent next to nothing for {self._patience_s:g} s.")
            if block:
                yield block

    async def aclose(self) -> None:
        """Close the response; an unfinished one takes its connection with it."""
        await self._pending.__aexit__(None, None, None)

    @property
    def _patience_s(self) -> float:
        return self._stall_s * PATIENCE_FACTOR
