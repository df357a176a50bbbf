"""Why there is no connection, in words for people: the operating system and OpenSSL speak to programmers."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from voice_mcp.offline import LeavesThisMachine

CONNECT_S = 3.0
"""Longest that finding the address and connecting may take, and again TLS."""

_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL calls an answer that is none of TLS, in its several versions."""
_EXPIRED = (10,)
_OTHER_NAME = (62, 64)
"""Codes for a certificate that is out of date, or of another name or address. Source: OpenSSL, x509_vfy.h."""

AWAY_HINT = "Check that the endpoint is running and {urls} is right."
_UNKNOWN = "Check the name in {urls}, and that this machine is online."
_PLAIN = "If the endpoint speaks plain HTTP, let its URL in {urls} begin with http://."
_RENEW = "Have the certificate renewed, and check that the clock of this machine is right."
_RENAME = "Use the name that is in the certificate in {urls}."
_OFFLINE = "Set VOICEMODE_OFFLINE=false if other machines may be asked."
_TRUST = "If you trust it, name its file, or that of the authority that signed it, in SSL_CERT_FILE."


@dataclass(frozen=True, slots=True)
class Reason:
    """Half a sentence, and what to do."""

    words: str
    hint: str = AWAY_HINT
    """For ``Endpoint.advice``."""


def why_not_connected(exc: BaseException) -> Reason:
    """The reason at the bottom of ``exc``, of which whoever passed it on has told ever less."""
    errors = list(_underneath(exc))
    for error in errors:
        if isinstance(error, LeavesThisMachine):
            return Reason("VOICEMODE_OFFLINE=true keeps this process on this machine", _OFFLINE)
        if isinstance(error, ssl.SSLError):
            return _tls(error)
    for error in errors:
        if isinstance(error, socket.gaierror):
            return Reason("no address is known for that name", _UNKNOWN)
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            # asyncio puts the address where the operating system's words should be.
            return Reason(os.strerror(error.errno).lower())
    said = str(errors[-1]).rstrip(".").lower()
    return Reason(said or "it closed the connection")


def _tls(error: ssl.SSLError) -> Reason:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _RENEW if error.verify_code in _EXPIRED else _RENAME if error.verify_code in _OTHER_NAME else _TRUST
        said = error.verify_message.rstrip(".")
        return Reason(f"its certificate is not accepted ({said})", hint)
    if error.reason in _NOT_TLS:
        return Reason("what answers there does not speak TLS", _PLAIN)
    said = (error.reason or "it closed the connection").replace("_", " ").lower()
    return Reason(f"TLS failed ({said})")


def _underneath(exc: BaseException) -> Iterator[BaseException]:
    """The exception and everything it was raised from; of several at once the first."""
    error: BaseException | None = exc
    while error is not None:
        yield error
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
