"""The service put together: routes, and the one place where errors become answers."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_mcp import __version__
from voice_mcp.errors import VoiceError
from voice_mcp.speech_server.engines import Engines
from voice_mcp.speech_server.errors import ApiError, from_voice_error
from voice_mcp.speech_server.gate import Gate
from voice_mcp.speech_server.guard import Guard
from voice_mcp.speech_server.speech import SpeechEndpoint
from voice_mcp.speech_server.voices import voices_record

logger = logging.getLogger(__name__)


def create_app(engines: Engines, gate: Gate, *, token: str | None, loopback: bool, client_stall_s: float) -> Starlette:
    """The ASGI application.

    Args:
        engines: Who can speak.
        gate: How many at a time.
        token: What clients have to know; None: nothing.
        loopback: Whether only this machine can reach it.
        client_stall_s: How long a client may take nothing.
    """

    async def health(request: Request) -> Response:
        facts = {"status": "ok", "engine": engines.default.name, "version": __version__}
        return JSONResponse({**facts, "running": gate.running, "waiting": gate.waiting})

    async def models(request: Request) -> Response:
        entry = {"object": "model", "created": 0, "owned_by": "voice-mcp"}
        return JSONResponse({"object": "list", "data": [{"id": name, **entry} for name in engines.models]})

    async def voices(request: Request) -> Response:
        return JSONResponse(await voices_record(engines.of(request.query_params.get("model"))))

    speech = SpeechEndpoint(engines, gate, client_stall_s=client_stall_s)
    app = Starlette(
        routes=[
            Route("/v1/audio/speech", speech, methods=["POST"]),
            Route("/v1/audio/voices", voices),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        middleware=[Middleware(Guard, token=token, loopback=loopback)],
        exception_handlers=dict.fromkeys((ApiError, VoiceError, HTTPException, Exception), _as_answer),
    )
    app.router.redirect_slashes = False  # a redirect would lose the body of a POST in some clients
    return app


async def _as_answer(request: Request, exc: Exception) -> Response:
    return _api_error(request, exc).response()


def _api_error(request: Request, exc: Exception) -> ApiError:
    match exc:
        case ApiError():
            return exc
        case VoiceError():
            error = from_voice_error(exc)
            if error.status >= 500:
                logger.warning("A request failed: %s", exc.advice)
            return error
        case HTTPException():  # what Starlette itself refuses: a path or a method that is not served
            code = {404: "unknown_url", 405: "method_not_allowed"}.get(exc.status_code, "http_error")
            message = f"{exc.detail}: {request.method} {request.url.path} is not served here."
            return ApiError(message, status=exc.status_code, code=code, headers=exc.headers)
    logger.error("A request failed in a way nobody had foreseen.", exc_info=exc)
    return ApiError("The service failed; its log says how.", status=500, code="internal_error")
