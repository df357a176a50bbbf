"""Asking the user to type: elicitation, in the words of both protocol eras.

Since 2026-07-28 a server cannot send requests: the call ends with a question, and the host calls again with the
answer. Before, the question goes out while the call waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from voice_mcp.errors import ListeningUnavailable

logger = logging.getLogger(__name__)

QUESTION_KEY = "answer"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "title": "Your answer"}},
    "required": ["answer"],
}


def can_ask(ctx: Context) -> bool:
    """Whether the host can put a question to the user."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None:
        return False
    return elicitation.form is not None or elicitation.url is None  # a bare {} means forms


def asks_between_calls(ctx: Context) -> bool:
    """Whether a question ends the call (2026-07-28 and later) instead of going out while it waits."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def question(message: str, state: str) -> InputRequiredResult:
    """End the call with a question; ``state`` comes back with the answer."""
    request = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=SCHEMA))
    return InputRequiredResult(input_requests={QUESTION_KEY: request}, request_state=state)


def given_answer(ctx: Context) -> ElicitResult | None:
    """The answer this call brings with it, if it brings one."""
    response = (ctx.input_responses or {}).get(QUESTION_KEY)
    return response if isinstance(response, ElicitResult) else None


async def ask_now(ctx: Context, message: str, timeout_s: float) -> ElicitResult | None:
    """Ask while the call waits; None when nobody answered within ``timeout_s`` seconds.

    Raises:
        ListeningUnavailable: The host says that it can ask, and answers with an error, or with what is no answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answer: ElicitResult = await ctx.session.elicit_form(message, SCHEMA, related_request_id=ctx.request_id)
            return answer
    except TimeoutError:
        return None
    except (MCPError, ValidationError) as exc:
        logger.warning("The host did not show the question: %s", exc)
        raise ListeningUnavailable("The host did not show the question, though it says that it can.") from exc


def words(answer: ElicitResult) -> str | None:
    """What was typed; None when the user would not answer, or typed nothing."""
    typed = (answer.content or {}).get("answer") if answer.action == "accept" else None
    return typed.strip() or None if isinstance(typed, str) else None
