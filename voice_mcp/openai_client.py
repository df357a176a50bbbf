"""The one home of the openai SDK: a pooled client per endpoint, its key, its time-outs, its errors in our words."""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from voice_mcp.errors import EngineBusy, EngineError, EngineRefused, EngineStalled, EngineUnreachable
from voice_mcp.settings import OPENAI_HOST

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

CONNECT_S = 3.0
"""Longest a connection may take to come about."""
FIRST_BYTE_FACTOR = 4.0
"""An answer may take this many stall time-outs to begin: servers that do not stream synthesise first."""
SAID_BY_SERVER_CHARS = 200
"""How much of a server's own error text is passed on."""
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
"""What the SDK would tell every endpoint about this machine and its owner; no endpoint needs it to speak."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One OpenAI-compatible server."""

    base_url: str
    api_key: str | None = None
    """Sent to this endpoint and to no other; never shown."""
    model: str = "tts-1"

    @property
    def host(self) -> str:
        """Host and port as a person would name it: ``api.openai.com``, ``127.0.0.1:8880``."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        name = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own, reached so that nobody in between can read along or pose as it."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "https" and parts.hostname == OPENAI_HOST and parts.port in (None, 443)

    @property
    def is_secret(self) -> bool:
        """Whether what is sent there can be read by nobody in between."""
        return self.is_local or urlsplit(self.base_url).scheme == "https"

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"


def load_sdk() -> None:
    """Import the SDK (300 ms) ahead of the first request. Thread: any."""
    importlib.import_module("openai")
    # The SDK imports these when a client is made and used for the first time.
    importlib.import_module("openai.resources.audio.speech")
    importlib.import_module("openai.lib._client_auth")


class SpeechClient:
    """Speech requests to one endpoint over connections that are kept open.

    Args:
        endpoint: Where to.
        stall_s: Seconds without a byte after which the endpoint counts as hung.
    """

    def __init__(self, endpoint: Endpoint, *, stall_s: float) -> None:
        self.endpoint = endpoint
        self._stall_s = stall_s
        self._sdk: AsyncOpenAI | None = None

    async def open(self, fields: dict[str, Any]) -> SpeechResponse:
        """Ask for speech; returns once the answer has begun.

        Args:
            fields: The request's fields in OpenAI's names.

        Raises:
            EngineError: It did not work out; the subclass says how.
        """
        sdk = self._client()
        with translated(self.endpoint.host):
            pending = sdk.audio.speech.with_streaming_response.create(**fields, extra_headers=self._headers())
            async with asyncio.timeout(self._stall_s * FIRST_BYTE_FACTOR):
                response = await pending.__aenter__()
        return SpeechResponse(self.endpoint.host, pending, response, self._stall_s)

    async def voices(self) -> list[Any]:
        """What ``GET /audio/voices`` lists, an addition that several local servers have; the entries are unchecked.

        Raises:
            EngineError: The endpoint does not answer, or has no such list.
        """
        with translated(self.endpoint.host):
            async with asyncio.timeout(self._stall_s):
                answer: Any = await self._get("/audio/voices")
        listed = answer.get("voices", answer.get("data")) if isinstance(answer, dict) else answer
        if not isinstance(listed, list):
            raise EngineError(f"{self.endpoint.host} does not list its voices.")
        return listed

    async def check(self) -> None:
        """See that the endpoint answers and takes the key.

        Raises:
            EngineError: It does not.
        """
        with translated(self.endpoint.host):
            async with asyncio.timeout(self._stall_s):
                await self._get("/models")

    async def aclose(self) -> None:
        """Close the connections."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()

    def prepare(self) -> None:
        """Make the client ahead of the first request."""
        self._client()

    async def _get(self, path: str) -> Any:
        return await self._client().get(path, cast_to=object, options={"headers": self._headers()})

    def _headers(self) -> dict[str, Any]:
        """What is taken out of each request's headers."""
        import openai

        unsent = UNSENT_HEADERS if self.endpoint.api_key is not None else (*UNSENT_HEADERS, "Authorization")
        return dict.fromkeys(unsent, openai.Omit())

    def _client(self) -> AsyncOpenAI:
        if self._sdk is None:
            import openai

            self._sdk = openai.AsyncOpenAI(
                base_url=self.endpoint.base_url,
                api_key=self.endpoint.api_key or "none",
                max_retries=0,  # what to do after a failure is decided in core/failover.py, once
                timeout=None,  # every wait is bounded here, by one rule
                http_client=openai.DefaultAsyncHttpxClient(
                    # A proxy from the environment must not come between us and our own machine.
                    trust_env=not self.endpoint.is_local,
                    # A redirect would take the text to a host that nobody has set.
                    follow_redirects=False,
                    timeout=openai.Timeout(None, connect=CONNECT_S),
                ),
            )
        return self._sdk


class SpeechResponse:
    """An answer that has begun. Iterate it once, then close it."""

    def __init__(self, host: str, pending: Any, response: Any, stall_s: float) -> None:
        self._host = host
        self._pending = pending
        self._response = response
        self._stall_s = stall_s

    @property
    def media_type(self) -> str:
        """The Content-Type header."""
        return str(self._response.headers.get("content-type", ""))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in the pieces it came in.

        Raises:
            EngineStalled: Nothing came for too long, or the body broke off.
        """
        blocks = self._response.iter_bytes().__aiter__()
        while True:
            try:
                with translated(self._host, begun=True):
                    async with asyncio.timeout(self._stall_s):
                        block = await anext(blocks)
            except StopAsyncIteration:
                return
            if block:
                yield block

    async def aclose(self) -> None:
        """Close the response; an unfinished one takes its connection with it."""
        await self._pending.__aexit__(None, None, None)


@contextmanager
def translated(host: str, *, begun: bool = False) -> Iterator[None]:
    """Turn what the SDK, its transport and the clock raise into ``EngineError``.

    Args:
        host: Who was asked, for the message.
        begun: Whether audio had begun to arrive.
    """
    import httpx2
    import openai

    try:
        yield
    except openai.APIStatusError as exc:
        raise _from_status(host, exc) from exc
    except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException) as exc:
        if begun:
            raise EngineStalled(f"{host} stopped sending in the middle.") from exc
        raise EngineUnreachable(f"{host} did not answer in time.") from exc
    except (openai.APIConnectionError, httpx2.HTTPError) as exc:
        if begun:
            raise EngineStalled(f"{host} broke off in the middle.") from exc
        raise EngineUnreachable(f"{host} cannot be reached: {_root(exc)}.") from exc
    except (openai.OpenAIError, httpx2.InvalidURL, ValueError, RecursionError) as exc:  # the last: JSON nested to death
        raise EngineError(f"{host} gave an answer that cannot be used ({type(exc).__name__}).") from exc


def _from_status(host: str, exc: APIStatusError) -> EngineError:
    status = exc.status_code
    if 300 <= status < 400:
        return _redirect(host, exc)
    said = _said(exc)
    quoted = ": " + json.dumps(said[:SAID_BY_SERVER_CHARS], ensure_ascii=False) if said else ""
    if status == 429 or status >= 500:
        return EngineBusy(f"{host} answered {status}{quoted}.", retry_after_s=_retry_after(exc))
    if status in (401, 403):
        return EngineRefused(f"{host} refused the key ({status}){quoted}.", status=status, hint=KEY_HINT)
    return EngineRefused(f"{host} answered {status}{quoted}.", status=status, said=said, param=_param(exc))


KEY_HINT = "Set the right key for this endpoint in VOICEMODE_TTS_API_KEYS (OPENAI_API_KEY for api.openai.com)."
REDIRECT_HINT = "Set the address that answers by itself in VOICEMODE_TTS_BASE_URLS, if you trust it."


def _redirect(host: str, exc: APIStatusError) -> EngineRefused:
    """A redirect, in words that name where it would have led."""
    try:
        target = urlsplit(urljoin(str(exc.request.url), exc.response.headers.get("location", ""))).netloc
    except ValueError:  # brackets that do not match
        target = ""
    where = json.dumps(target.rpartition("@")[2][:SAID_BY_SERVER_CHARS]) if target else "nowhere"
    message = f"{host} answered {exc.status_code} and redirects to {where}, which is not followed."
    return EngineRefused(message, status=exc.status_code, hint=REDIRECT_HINT)


def _said(exc: APIStatusError) -> str:
    """The server's own words, if it used a usual shape and did not echo the key."""
    message = _detail(exc).get("message")
    if not isinstance(message, str) or not message.strip():
        return ""
    sent = exc.request.headers.get("authorization", "").removeprefix("Bearer ")
    # Servers that quote the key quote it in part, so any long enough piece of it is reason enough to stay silent.
    if sent and (sent in message or sent[:7] in message):
        return ""
    return message


def _param(exc: APIStatusError) -> str:
    """The field the server blames, if it says so."""
    param = _detail(exc).get("param")
    return param if isinstance(param, str) else ""


def _detail(exc: APIStatusError) -> dict[str, Any]:
    """What describes the error: OpenAI's object (the SDK has unwrapped it), or FastAPI's ``detail``, text or object."""
    body: Any = exc.body
    if not isinstance(body, dict):
        return {}
    detail = body.get("detail")
    if "message" not in body and isinstance(detail, str | dict):
        return detail if isinstance(detail, dict) else {"message": detail}
    return body


def _retry_after(exc: APIStatusError) -> float | None:
    try:
        return max(0.0, float(exc.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _root(exc: BaseException) -> str:
    """The innermost reason, in few words."""
    while exc.__cause__ is not None or exc.__context__ is not None:
        exc = exc.__cause__ or exc.__context__  # type: ignore[assignment]
    # asyncio puts the address where the operating system's words should be.
    text = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno is not None and exc.errno > 0 else str(exc)
    return (text or type(exc).__name__).rstrip(".").lower()
