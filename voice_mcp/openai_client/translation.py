"""What the SDK, its transport and the clock raise, as ``EngineError`` in words that say who failed and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from voice_mcp.errors import EngineBusy, EngineError, EngineRefused, EngineStalled, EngineUnreachable
from voice_mcp.openai_client.endpoint import Endpoint
from voice_mcp.openai_client.retry_after import seconds_to_wait
from voice_mcp.reasons import AWAY_HINT, CONNECT_S, why_not_connected

if TYPE_CHECKING:
    from openai import APIStatusError

SAID_BY_SERVER_CHARS = 200
"""How much of a server's own error text is passed on."""
NOT_THERE = (404, 405)
# What to do, for ``Endpoint.advice``.
REFUSED_HINT = "Check the key and the model that are set for this endpoint."
TOO_LARGE_HINT = "Speak in shorter turns, or let the endpoint take larger uploads."
KEY_HINT = "Set the right key for this endpoint in {keys} (OPENAI_API_KEY for api.openai.com)."
REDIRECT_HINT = "Set the address that answers by itself in {urls}, if you trust it."
NOT_THERE_HINT = "Check that its URL in {urls} ends in /v1, and the model that is set for it."
TOO_SLOW_HINT = "Check that the endpoint is well; if it is only slow, raise VOICEMODE_STREAM_STALL_TIMEOUT."
NOT_HTTP_HINT = "Check its port in {urls}, and that its URL begins with https:// if it speaks TLS."
BROKE_OFF_HINT = "Try again; if it happens often, see what the endpoint's own log says."


@contextmanager
def translated(endpoint: Endpoint, *, waited_s: float, begun: bool = False) -> Iterator[None]:
    """Turn foreign exceptions into ``EngineError``.

    Args:
        endpoint: Who was asked, for message and hint.
        waited_s: How long was waited when the clock says that it was too long.
        begun: Whether an answer had begun to arrive.
    """
    import httpx2
    import openai

    host = endpoint.host
    try:
        yield
    except openai.APIStatusError as exc:
        raise _from_status(endpoint, exc) from exc
    except (openai.APIConnectionError, httpx2.HTTPError) as exc:
        error = _transport_error(exc)
        raise (_broken(host, error) if begun else _not_answered(endpoint, error)) from exc
    except TimeoutError as exc:
        if begun:
            raise EngineStalled(f"{host} sent nothing for {waited_s:g} s.") from exc
        raise EngineUnreachable(f"{host} did not answer within {waited_s:g} s.", hint=TOO_SLOW_HINT) from exc
    except (openai.OpenAIError, httpx2.InvalidURL, ValueError, RecursionError) as exc:  # the last: JSON nested to death
        raise EngineError(f"{host} gave an answer that cannot be used ({type(exc).__name__}).") from exc


# --- no answer, or half of one -----------------------------------------------------------------------------------


def _transport_error(exc: BaseException) -> BaseException:
    """What the transport raised, without what the SDK put around it."""
    import openai

    return exc.__cause__ if isinstance(exc, openai.APIConnectionError) and exc.__cause__ is not None else exc


def _not_answered(endpoint: Endpoint, exc: BaseException) -> EngineError:
    import httpx2

    host, not_http = endpoint.host, endpoint.advice(NOT_HTTP_HINT)
    if isinstance(exc, httpx2.RemoteProtocolError) and (grammar := _grammar_error(exc)) is not None:
        words = str(grammar).rstrip(".").lower()
        return EngineError(f"{host} gave an answer that is not HTTP ({words}).", hint=not_http)
    if isinstance(exc, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        return EngineUnreachable(f"{host} closed the connection without an answer.", hint=not_http, hung_up=True)
    if isinstance(exc, httpx2.ConnectTimeout):
        words, hint = f"no connection within {CONNECT_S:g} s", AWAY_HINT
    else:
        reason = why_not_connected(exc)
        words, hint = reason.words, reason.hint
    # The transport says so while it looks up the address, connects and agrees on TLS: before it sends anything.
    nothing_sent = isinstance(exc, httpx2.ConnectError | httpx2.ConnectTimeout)
    message = f"{host} cannot be reached: {words}."
    return EngineUnreachable(message, hint=endpoint.advice(hint), nothing_sent=nothing_sent)


def _grammar_error(exc: BaseException) -> BaseException | None:
    """What the parser of HTTP found wrong; None when the connection simply ended."""
    # The transport's own error first, and below it what it was raised from.
    return exc.__cause__.__context__ if exc.__cause__ is not None else None


def _broken(host: str, exc: BaseException) -> EngineError:
    import httpx2

    if isinstance(exc, httpx2.DecodingError):
        return EngineError(f"{host} sent compressed data that is damaged.", hint=BROKE_OFF_HINT)
    return EngineStalled(f"{host} broke off in the middle.", hint=BROKE_OFF_HINT, broke_off=True)


# --- an answer that says no --------------------------------------------------------------------------------------


def _from_status(endpoint: Endpoint, exc: APIStatusError) -> EngineError:
    host, status = endpoint.host, exc.status_code
    if 300 <= status < 400 and "location" in exc.response.headers:
        return _redirect(endpoint, exc)
    said = _said(exc)
    quoted = f": {quotation(said)}" if said else ""
    if status == 429 or status >= 500:
        wait_s = seconds_to_wait(exc.response.headers)
        asks = f", and asks to be left alone for {wait_s:.0f} s" if wait_s else ""
        return EngineBusy(f"{host} answered {status}{quoted}{asks}.", retry_after_s=wait_s)
    hint = endpoint.advice(_what_to_check(endpoint, status))
    if status in (401, 403):
        return EngineRefused(f"{host} refused the key ({status}){quoted}.", status=status, hint=hint)
    unlikely = status in NOT_THERE and not endpoint.base_url.endswith("/v1")
    doubt = "; its URL does not end in /v1" if unlikely else ""
    message = f"{host} answered {status}{quoted}{doubt}."
    return EngineRefused(message, status=status, hint=hint, said=said, param=_param(exc))


def _what_to_check(endpoint: Endpoint, status: int) -> str:
    if status in (401, 403):
        return KEY_HINT
    if status in NOT_THERE:
        return NOT_THERE_HINT
    if endpoint.part == "TTS":
        return EngineRefused.hint
    return TOO_LARGE_HINT if status == 413 else REFUSED_HINT


def _redirect(endpoint: Endpoint, exc: APIStatusError) -> EngineRefused:
    """A redirect, in words that name where it would have led."""
    try:
        target = urlsplit(urljoin(str(exc.request.url), exc.response.headers["location"]))
        # Without the user, the password and the query, which may be secrets.
        address = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"
    except ValueError:  # brackets that do not match
        address = ""
    where = json.dumps(address[:SAID_BY_SERVER_CHARS]) if address else "nowhere"
    message = f"{endpoint.host} answered {exc.status_code} and redirects to {where}, which is not followed."
    return EngineRefused(message, status=exc.status_code, hint=endpoint.advice(REDIRECT_HINT))


def quotation(said: str) -> str:
    """A server's own words in quotes, as many of them as anybody reads."""
    return json.dumps(said[:SAID_BY_SERVER_CHARS], ensure_ascii=False)


def echoes(said: str, key: str) -> bool:
    """Whether a server quotes the key. It may do so in part, so any long enough piece is reason to stay silent."""
    return bool(key) and (key in said or key[:7] in said)


def _said(exc: APIStatusError) -> str:
    """The server's own words, if it used a usual shape and did not echo the key."""
    message = _detail(exc).get("message")
    if not isinstance(message, str) or not message.strip():
        return ""
    sent = exc.request.headers.get("authorization", "").removeprefix("Bearer ")
    return "" if echoes(message, sent) else message


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
