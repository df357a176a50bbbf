"""Who may talk to the service at all."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_mcp.speech_server.errors import ApiError


class Guard:
    """An ASGI layer that turns away whoever has no business here, before anything is read.

    Args:
        app: What is guarded.
        token: Has to come as ``Authorization: Bearer``; None: nobody is asked.
        loopback: Whether only this machine can reach the service. Then the ``Host`` header has to name it: a web
            page whose own name was made to point to 127.0.0.1 (DNS rebinding) is told from a program on this machine
            by nothing else.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, loopback: bool) -> None:
        self._app = app
        self._token = token.encode() if token is not None else None
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, headers: Headers) -> ApiError | None:
        if self._loopback and not is_loopback(host_name(headers.get("host", ""))):
            message = "The Host header does not name this machine. Use http://127.0.0.1 or http://localhost."
            return ApiError(message, status=403, code="host_not_allowed")
        if self._token is not None and not _holds(headers.get("authorization", ""), self._token):
            message = "The token is missing or wrong. Send it as the API key: Authorization: Bearer <token>."
            return ApiError(message, status=401, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return None


def host_name(host: str) -> str:
    """The name or address in ``host[:port]``; empty when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that do not match
        return ""


def is_loopback(name: str) -> bool:
    """Whether a name or address means this machine and cannot be made to mean another."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _holds(authorization: str, token: bytes) -> bool:
    scheme, _, given = authorization.partition(" ")
    # Header values reach us as Latin-1; comparing takes as long for a wrong token as for the right one.
    return hmac.compare_digest(given.strip().encode("latin-1"), token) and scheme.lower() == "bearer"
