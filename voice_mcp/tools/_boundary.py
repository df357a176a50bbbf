"""The front door's frame: every tool call is on record from its start to its one end, and every error gets words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcp.types import CallToolResult, InputRequiredResult

from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.session import Session
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import InvalidConversationId, OutOfMemory, VoiceError
from voice_mcp.events import EventType
from voice_mcp.tools.results import refusal

logger = logging.getLogger(__name__)

ToolResult = CallToolResult | InputRequiredResult


@dataclass(frozen=True, slots=True)
class Call:
    """One call to one tool."""

    session: Session
    conversation_id: str
    arrived_s: float
    """When it arrived, on the clock of ``Clock.now``."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since it arrived."""
        return self.session.clock.now() - self.arrived_s


async def guarded(
    session: Session, tool_name: str, conversation_id: str | None, body: Callable[[Call], Awaitable[ToolResult]]
) -> ToolResult:
    """Run a tool's body.

    Errors of ours become the agent's text; whatever else goes wrong is logged with its traceback and told in general
    words. A cancelled call answers nothing.
    """
    arrived_s = session.clock.now()
    session.warm_up()
    with session.calls.one():
        return await _on_record(session, tool_name, conversation_id, body, arrived_s)


async def _on_record(
    session: Session,
    tool_name: str,
    conversation_id: str | None,
    body: Callable[[Call], Awaitable[ToolResult]],
    arrived_s: float,
) -> ToolResult:
    problem: VoiceError | None = None
    try:
        conversation_id = session.conversation_id if conversation_id is None else check_conversation_id(conversation_id)
    except InvalidConversationId as exc:
        conversation_id, problem = session.conversation_id, exc
    trail = Trail(session.archive, conversation_id, None)
    trail.event(EventType.TOOL_REQUEST_START, {"tool": tool_name}, at_s=arrived_s)
    status, success = "cancelled", False
    try:
        if problem is not None:
            raise problem
        result = await body(Call(session, conversation_id, arrived_s))
        status, success = _status(result), True
        return result
    except VoiceError as exc:
        status = exc.code
        return refusal(exc)
    except asyncio.CancelledError:
        trail.event(EventType.TOOL_CANCELLED, {"tool": tool_name})
        raise
    except Exception as exc:
        if _is_want_of_memory(exc):
            status = OutOfMemory.code
            return refusal(OutOfMemory(f"{tool_name} failed for want of memory."))
        status = "internal_error"
        logger.exception("%s failed unexpectedly", tool_name)
        return refusal(VoiceError(f"{tool_name} failed because of a mistake in voice-mcp; its log on stderr has more."))
    finally:
        trail.event(
            EventType.TOOL_REQUEST_END,
            {
                "tool": tool_name,
                "success": success,
                "status": status,
                "duration_s": round(session.clock.now() - arrived_s, 4),
            },
        )


async def refuse(session: Session, tool_name: str, conversation_id: object, problem: VoiceError) -> ToolResult:
    """Answer a call that cannot reach its tool, and put it on record like any other.

    Args:
        session: Whose.
        tool_name: The tool.
        conversation_id: What was given for it, unchecked.
        problem: Why.
    """

    async def body(_: Call) -> ToolResult:
        raise problem

    return await guarded(session, tool_name, conversation_id if isinstance(conversation_id, str) else None, body)


def _status(result: ToolResult) -> str:
    if isinstance(result, InputRequiredResult):
        return "input_required"
    return str((result.structured_content or {}).get("status", ""))


def _is_want_of_memory(exc: Exception) -> bool:
    """Whether the system gives no more memory; a thread that cannot be started is told by Python in words alone."""
    return isinstance(exc, MemoryError) or (isinstance(exc, RuntimeError) and "start new thread" in str(exc))
