"""A pooled client for one endpoint: it asks, waits as long as is reasonable, and says in our words what went wrong."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from voice_mcp.errors import EngineError, EngineUnreachable
from voice_mcp.openai_client.answer import Answer
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.openai_client.translation import translated

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

FIRST_BYTE_FACTOR = 4.0
"""An answer may take this many stall time-outs to begin: servers work first, and answer when they are through."""
UNSENT_HEADERS = (
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Stainless-Lang",
    "X-Stainless-Package-Version",
    "X-Stainless-OS",
    "X-Stainless-Arch",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
    "X-Stainless-Retry-Count",
    "X-Stainless-Read-Timeout",
)
"""What the SDK would tell every endpoint about this machine and its owner; no endpoint needs it."""


def load_sdk() -> None:
    """Import the SDK (300 ms) ahead of the first request. Thread: any."""
    importlib.import_module("voice_mcp.openai_client.transport")
    # The SDK imports these when a client is made and used for the first time.
    importlib.import_module("openai.resources.audio.speech")
    importlib.import_module("openai.resources.audio.transcriptions")
    importlib.import_module("openai.lib._client_auth")


class EndpointClient:
    """Requests to one endpoint over connections that are kept open.

    Args:
        endpoint: Where to.
        stall_s: Seconds without a byte after which the endpoint counts as hung.
    """

    def __init__(self, endpoint: Endpoint, *, stall_s: float) -> None:
        self.endpoint = endpoint
        self._stall_s = stall_s
        self._sdk: AsyncOpenAI | None = None

    async def check(self) -> bool:
        """See that the endpoint answers and takes the key.

        Returns:
            Whether it answers as servers of this kind do: with a list of models, and not with a web page.

        Raises:
            EngineError: It does not answer, or says no.
        """
        return isinstance(await self._get("/models"), dict | list)

    async def aclose(self) -> None:
        """Close the connections."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()

    def prepare(self) -> None:
        """Make the client ahead of the first request.

        Raises:
            EngineError: The environment does not allow it.
        """
        self._client()

    async def _begun(self, pending: Callable[[], Any], most_s: float) -> Answer:
        """The answer to what ``pending`` asks for, once it has begun.

        Args:
            pending: Makes one of the SDK's requests for a streamed answer.
            most_s: Seconds within which it must begin.

        Raises:
            EngineError: It did not work out; the subclass says how.
        """

        async def ask() -> tuple[Any, Any]:
            request = pending()
            return request, await request.__aenter__()

        request, response = await self._asked(ask, most_s)
        answer = Answer(self.endpoint, request, response, self._stall_s)
        try:
            answer.check_encoding()
        except EngineError:
            await answer.aclose()
            raise
        return answer

    async def _get(self, path: str) -> Any:
        options: Any = {"headers": self._headers()}
        return await self._asked(lambda: self._client().get(path, cast_to=object, options=options), self._stall_s)

    async def _asked(self, ask: Callable[[], Awaitable[T]], most_s: float) -> T:
        """Ask, within ``most_s`` seconds, and once more for each kept connection that turns out to be dead.

        A server may close a connection at the moment it is used again. That says nothing about the server, and nothing
        of an answer has come, so it costs nobody anything; a new connection that fails is an error.
        """
        import openai

        from voice_mcp.openai_client.transport import was_kept_too_long

        self.prepare()  # which may take a moment that is no fault of the server's
        was_written = False
        try:
            with translated(self.endpoint, waited_s=most_s):
                async with asyncio.timeout(most_s):
                    while True:
                        try:
                            return await ask()
                        except openai.APIConnectionError as exc:
                            if not was_kept_too_long(exc):
                                raise
                            was_written = True
        except EngineUnreachable as exc:
            exc.nothing_sent = exc.nothing_sent and not was_written
            raise

    def _headers(self) -> dict[str, Any]:
        """What is taken out of each request's headers."""
        import openai

        unsent = UNSENT_HEADERS if self.endpoint.api_key is not None else (*UNSENT_HEADERS, "Authorization")
        return dict.fromkeys(unsent, openai.Omit())

    def _client(self) -> AsyncOpenAI:
        if self._sdk is None:
            from voice_mcp.openai_client.transport import make_sdk

            self._sdk = make_sdk(self.endpoint)
        return self._sdk
