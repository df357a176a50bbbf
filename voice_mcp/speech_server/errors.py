"""Refusals in the shape OpenAI's clients read: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from voice_mcp.errors import (
    CodecMissing,
    InvalidInput,
    InvalidSpeed,
    MessageTooLong,
    NothingToSay,
    UnknownVoice,
    VoiceError,
)

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
RETRY_AFTER_S = 2
"""What a client is told to wait; about what the shortest speech takes."""


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        message: One or two sentences: what is wrong, and what would be right.
        status: The HTTP status.
        code: Stable, for machines.
        param: The field that is wrong.
        headers: What else the client should know.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "invalid_value",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        kind = SERVER_ERROR if self.status >= 500 else INVALID_REQUEST
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, status_code=self.status, headers=self.headers)


def busy(message: str) -> ApiError:
    """Not now."""
    return ApiError(message, status=503, code="busy", headers={"Retry-After": str(RETRY_AFTER_S)})


def from_voice_error(exc: VoiceError) -> ApiError:
    """What went wrong in the house, as a client sees it."""
    if isinstance(exc, CodecMissing):
        return ApiError(exc.advice, code=exc.code, param="response_format")
    if isinstance(exc, InvalidInput):
        return ApiError(exc.advice, code=exc.code, param=_PARAMS.get(type(exc)))
    if exc.retryable:
        return busy(exc.message)
    return ApiError(exc.advice, status=500, code=exc.code)


_PARAMS: Mapping[type[VoiceError], str] = {
    NothingToSay: "input",
    MessageTooLong: "input",
    UnknownVoice: "voice",
    InvalidSpeed: "speed",
}
