"""`speak`: say something."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from voice_mcp.core.floor import Admission
from voice_mcp.core.session import Session
from voice_mcp.core.speech import Spoken
from voice_mcp.tools._boundary import Call, ToolResult, guarded
from voice_mcp.tools._captions import captions
from voice_mcp.tools.results import SpeakResult, answer, speak_line, speak_result
from voice_mcp.types import SpeechStatus, Urgency

DESCRIPTION = """Say a message aloud to the user; it is heard while it is still being made. Markdown is welcome: code \
blocks, links and tables are turned into what a person would say. Returns when the last word was heard, or at once \
with wait=false. If the user stops it, the result has `heard` and `unheard`: never assume the unheard part is known."""

Message = Annotated[str, Field(description="What to say.")]
VoiceName = Annotated[str | None, Field(description="A voice from voice://voices.")]
Speed = Annotated[float | None, Field(description="0.25 to 4.0; 1.0 is normal.")]
Instructions = Annotated[str | None, Field(description="Tone, for models that take it.")]
ConversationId = Annotated[str | None, Field(description="Continue this conversation.")]
Wait = Annotated[bool, Field(description="false: queue it and return at once.")]
HowUrgent = Annotated[
    Literal["now", "normal", "whenever"],
    Field(description="now: the user is needed; whenever: chatter, dropped when its turn does not come soon."),
]


def add_speak(server: MCPServer[Any], session: Session) -> None:
    """Give the server its `speak` tool."""

    async def speak(
        ctx: Context,
        message: Message,
        voice: VoiceName = None,
        speed: Speed = None,
        instructions: Instructions = None,
        conversation_id: ConversationId = None,
        wait: Wait = True,
        urgency: HowUrgent = "normal",
    ) -> Annotated[CallToolResult, SpeakResult]:
        async def body(call: Call) -> ToolResult:
            manner, admission = session.manner(voice, speed, instructions), Admission(Urgency(urgency))
            whose = call.conversation_id, call.arrived_s
            if not wait:
                speech = await session.begin(message, manner, *whose, _nobody_listens, admission)
                session.speaker.report_later(speech)
                queued = Spoken(SpeechStatus.QUEUED, call.conversation_id, speech.utterance_id)
                return _answer(session, queued)
            async with captions(ctx) as shown:
                speech = await session.begin(message, manner, *whose, shown.update, admission)
                try:
                    return _answer(session, await speech.result())
                except asyncio.CancelledError:
                    speech.stop()
                    raise

        result = await guarded(session, "speak", conversation_id, body)
        assert isinstance(result, CallToolResult)
        return result

    server.add_tool(
        speak,
        title="Speak",
        description=DESCRIPTION,
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
        meta={"anthropic/alwaysLoad": True},
    )


def _answer(session: Session, spoken: Spoken) -> CallToolResult:
    result = speak_result(spoken, session.speaker.unreported())
    return answer(speak_line(result), result)


def _nobody_listens(position_s: float, total_s: float | None, text: str) -> None:
    """A ``ProgressListener`` for a call that has already returned."""
