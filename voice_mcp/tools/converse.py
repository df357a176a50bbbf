"""`converse`: say something and get the user's answer."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ElicitResult, InputRequiredResult, ToolAnnotations
from pydantic import Field

from voice_mcp.core.casting import Manner
from voice_mcp.core.floor import Admission
from voice_mcp.core.session import Session
from voice_mcp.core.speaking import Spoken
from voice_mcp.errors import InvalidInput, ListeningUnavailable
from voice_mcp.tools import _asking
from voice_mcp.tools._boundary import Call, ToolResult, guarded
from voice_mcp.tools._captions import captions
from voice_mcp.tools.results import ConverseResult, SpeakResult, answer, converse_line, speak_result
from voice_mcp.tools.speak import ConversationId, Instructions, Speed, VoiceName
from voice_mcp.types import SpeechStatus, Urgency

DESCRIPTION = """Say a message aloud and get the user's answer; without a message, only ask for the answer. One short \
question at a time. The answer is typed into a form of the host. Status `listening` means: not finished, call again \
without a message."""

TYPED = "The answer was typed."
STILL_SPEAKING = "The message is still being spoken."
OPENING = "What would you like to say?"

Message = Annotated[str | None, Field(description="What to say; null only asks.")]
WaitForResponse = Annotated[bool, Field(description="false: only speak.")]
ListenMax = Annotated[float | None, Field(description="Longest wait for the answer, in seconds.")]
ListenMin = Annotated[float | None, Field(description="Shortest wait, in seconds.")]


def add_converse(server: MCPServer[Any], session: Session) -> None:
    """Give the server its `converse` tool."""

    async def converse(
        ctx: Context,
        message: Message = None,
        wait_for_response: WaitForResponse = True,
        voice: VoiceName = None,
        speed: Speed = None,
        instructions: Instructions = None,
        conversation_id: ConversationId = None,
        listen_duration_max: ListenMax = None,
        listen_duration_min: ListenMin = None,
    ) -> Annotated[CallToolResult, ConverseResult] | InputRequiredResult:
        async def body(call: Call) -> ToolResult:
            turn = _Turn(ctx, call, message, listen_duration_max)
            turn.check(wait_for_response, listen_duration_min)
            return await turn.take(session.manner(voice, speed, instructions), wait_for_response)

        return await guarded(session, "converse", conversation_id, body)

    server.add_tool(
        converse,
        title="Converse",
        description=DESCRIPTION,
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
    )


class _Turn:
    """One call to converse."""

    def __init__(self, ctx: Context, call: Call, message: str | None, listen_max_s: float | None) -> None:
        self._ctx = ctx
        self._call = call
        self._message = message
        self._listen_max_s = listen_max_s

    def check(self, wait_for_response: bool, listen_min_s: float | None) -> None:
        """See that the call makes sense and can be answered, before anything is said.

        Raises:
            InvalidInput: It does not.
            ListeningUnavailable: It cannot.
        """
        for name, value in (("listen_duration_max", self._listen_max_s), ("listen_duration_min", listen_min_s)):
            if value is not None and not 0 <= value <= 3600:
                raise InvalidInput(f"{name} is {value:g}.", hint="Use seconds from 0 to 3600.")
        if not wait_for_response and self._message is None:
            raise InvalidInput("There is nothing to do without a message and without waiting for an answer.")
        if wait_for_response and not _asking.can_ask(self._ctx):
            raise ListeningUnavailable(
                "This host offers no way for the user to answer, so nothing was said.",
                hint="Use speak and ask in the chat, or call converse with wait_for_response=false.",
            )

    async def take(self, manner: Manner, wait_for_response: bool) -> ToolResult:
        """Speak, then ask."""
        if (given := _asking.given_answer(self._ctx)) is not None:
            state = json.loads(self._ctx.request_state or "{}")
            return self._answered(given, cast("SpeakResult | None", state.get("spoken")))
        urgency = Urgency.NOW if wait_for_response else Urgency.NORMAL
        spoken = await self._speak(manner, Admission(urgency, is_question=wait_for_response))
        how = spoken["status"] if spoken is not None else None
        if not wait_for_response:
            return self._end("spoken", None, spoken, *([STILL_SPEAKING] if how == "queued" else []))
        if how == "interrupted":
            return self._end("interrupted", None, spoken)
        questions, conversation_id = self._call.session.questions, self._call.conversation_id
        if self._message is not None:
            questions.ask(conversation_id, self._message)
        if how == "queued":
            return self._end("listening", None, spoken, STILL_SPEAKING)
        text = questions.pending(conversation_id) or OPENING
        if _asking.asks_between_calls(self._ctx):
            return _asking.question(text, json.dumps({"spoken": spoken}))
        typed = await self._ask(text)
        if typed is None:
            return self._end("no_speech", None, spoken, "Nobody answered in time.")
        return self._answered(typed, spoken)

    async def _ask(self, text: str) -> ElicitResult | None:
        """Have the question answered, with nobody else talking into it."""
        floor, limit_s = self._call.session.speaker.floor, self._time_left_s()
        try:
            async with asyncio.timeout(limit_s), floor.hold(self._call.conversation_id, lambda in_front: None):
                return await _asking.ask_now(self._ctx, text, limit_s)
        except TimeoutError:
            return None

    async def _speak(self, manner: Manner, admission: Admission) -> SpeakResult | None:
        """Say the message, if there is one; `queued` when it takes longer than the call may."""
        speaker, call = self._call.session.speaker, self._call
        if self._message is None:
            return await self._wait_for_silence(admission)
        whose = call.conversation_id, call.arrived_s
        async with captions(self._ctx) as shown:
            speech = await call.session.begin(self._message, manner, *whose, shown.update, admission)
            try:
                async with asyncio.timeout(self._limit_s()):
                    return speak_result(await speech.result(), speaker.unreported())
            except TimeoutError:
                speaker.report_later(speech)
                return self._queued(speech.utterance_id)
            except asyncio.CancelledError:
                speech.stop()
                raise

    async def _wait_for_silence(self, admission: Admission) -> SpeakResult | None:
        """Let what is being said be heard to the end before asking."""
        turn = self._call.session.speaker.floor.turn(lambda in_front: None, self._call.conversation_id, admission)
        try:
            async with asyncio.timeout(self._limit_s()), turn:
                return None
        except TimeoutError:
            return self._queued("")

    def _queued(self, utterance_id: str) -> SpeakResult:
        return speak_result(Spoken(SpeechStatus.QUEUED, self._call.conversation_id, utterance_id), [])

    def _limit_s(self) -> float:
        return max(0.0, self._call.session.call_limit_s - self._call.elapsed_s)

    def _time_left_s(self) -> float:
        """How long the user may take: what was asked for, but never longer than the host waits for the call."""
        return self._limit_s() if self._listen_max_s is None else min(self._listen_max_s, self._limit_s())

    def _answered(self, typed: ElicitResult, spoken: SpeakResult | None) -> ToolResult:
        self._call.session.questions.settle(self._call.conversation_id)
        text = _asking.words(typed)
        if text is None:
            return self._end("no_speech", None, spoken, "The user chose not to answer.")
        return self._end("answered", text, spoken, TYPED)

    def _end(self, status: str, response: str | None, spoken: SpeakResult | None, *notes: str) -> ToolResult:
        result = cast(
            "ConverseResult",
            {
                "status": status,
                "response": response,
                "spoken": spoken,
                "conversation_id": self._call.conversation_id,
            },
        )
        if notes:
            result["note"] = " ".join(notes)
        return answer(converse_line(result), result)
