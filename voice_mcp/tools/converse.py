"""`converse`: say something and get the user's answer."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ElicitResult, InputRequiredResult, ToolAnnotations
from pydantic import Field

from voice_mcp.core.answer import NOISY, TYPED, AnswerStatus, Outcome
from voice_mcp.core.casting import Manner
from voice_mcp.core.conversing import Conversing
from voice_mcp.core.session import Session
from voice_mcp.core.speech import Spoken
from voice_mcp.errors import InvalidInput, ListeningUnavailable
from voice_mcp.tools import _asking
from voice_mcp.tools._boundary import Call, ToolResult, guarded
from voice_mcp.tools._captions import captions
from voice_mcp.tools.results import ConverseResult, SpeakResult, answer, converse_line, speak_result
from voice_mcp.tools.speak import ConversationId, Instructions, Speed, VoiceName
from voice_mcp.types import SpeechStatus

DESCRIPTION = """Say a message aloud and get the user's answer, spoken or, where nobody can listen, typed; without a \
message, only listen. One short question at a time. Status `listening` means: not finished, call again without a \
message and nothing is lost."""

STILL_SPEAKING = "The message is still being spoken."
NOT_ASKED = "Others are still speaking, so the user was not asked yet."
TOO_LATE_TO_ASK = "There was no time left for a typed answer, so the user was not asked yet."
STILL_LISTENING = "The user is still being listened to."
NOT_SAID = "The user had the word, so this message was not said."
NOT_HEARD = "The message is in a file, and nobody heard it."
OPENING = "What would you like to say?"
LEAST_FORM_S, LEAST_FORM_SHARE = 5.0, 0.25
"""A form that would be there for less, in seconds and as a share of what a call may take, is not shown."""

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
            turn = _Turn(ctx, call, message, listen_duration_min, listen_duration_max)
            await turn.check(wait_for_response)
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

    def __init__(
        self, ctx: Context, call: Call, message: str | None, listen_min_s: float | None, listen_max_s: float | None
    ) -> None:
        self._ctx = ctx
        self._call = call
        self._session = call.session
        self._message = message
        self._listen_min_s = listen_min_s
        self._listen_max_s = listen_max_s

    async def check(self, wait_for_response: bool) -> None:
        """See that the call makes sense and can be answered, before anything is said.

        Raises:
            InvalidInput: It does not.
            ListeningUnavailable: It cannot.
        """
        limits = (("listen_duration_max", self._listen_max_s), ("listen_duration_min", self._listen_min_s))
        for name, value in limits:
            if value is not None and not 0 <= value <= 3600:
                raise InvalidInput(f"{name} is {value:g}.", hint="Use seconds from 0 to 3600.")
        if not wait_for_response and self._message is None:
            raise InvalidInput("There is nothing to do without a message and without waiting for an answer.")
        if wait_for_response and not _asking.can_ask(self._ctx):
            try:
                await self._session.dialogue.see_if_anybody_listens()
            except ListeningUnavailable as exc:
                raise ListeningUnavailable(f"{exc.message.rstrip('.')}; so nothing was said.", hint=exc.hint) from exc

    async def take(self, manner: Manner, wait_for_response: bool) -> ToolResult:
        """Speak, then listen."""
        if (given := _asking.given_answer(self._ctx)) is not None:
            state = json.loads(self._ctx.request_state or "{}")
            return self._typed(given, cast("SpeakResult | None", state.get("spoken")), state.get("why", ""))
        if not wait_for_response:
            return await self._only_speak(manner)
        async with self._session.asking:
            pending = self._session.dialogue.pending(self._call.conversation_id)
            conversing = pending or await self._begin(manner)
        return await self._attend(conversing, *([NOT_SAID] if pending and self._message is not None else []))

    # --- speaking, and no more ---------------------------------------------------------------------------------

    async def _only_speak(self, manner: Manner) -> ToolResult:
        call, speaker = self._call, self._session.speaker
        async with captions(self._ctx) as shown:
            whose = call.conversation_id, call.arrived_s
            speech = await self._session.begin(self._message or "", manner, *whose, shown.update)
            try:
                async with asyncio.timeout(self._limit_s()):
                    return self._end("spoken", None, speak_result(await speech.result(), speaker.unreported()))
            except TimeoutError:
                speaker.report_later(speech)
                return self._end("spoken", None, self._queued(speech.utterance_id), STILL_SPEAKING)
            except asyncio.CancelledError:
                speech.stop()
                raise

    # --- speaking and listening --------------------------------------------------------------------------------

    async def _begin(self, manner: Manner) -> Conversing:
        session, call = self._session, self._call
        wishes = session.wishes(self._listen_min_s, self._listen_max_s)
        return await session.ask(self._message, manner, wishes, call.conversation_id, call.arrived_s)

    async def _attend(self, conversing: Conversing, *notes: str) -> ToolResult:
        """Wait for the answer as long as the call may take."""
        dialogue = self._session.dialogue
        async with captions(self._ctx) as shown:
            conversing.relay.listener = shown.update
            try:
                async with asyncio.timeout(self._limit_s()):
                    outcome = await conversing.result()
            except TimeoutError:
                if conversing.is_speaking:
                    return self._end("listening", None, self._queued(conversing.utterance_id), *notes, STILL_SPEAKING)
                return self._end("listening", None, self._spoken(conversing.spoken), *notes, STILL_LISTENING)
            except asyncio.CancelledError:
                conversing.stop()
                dialogue.fetched(conversing)
                raise
            except ListeningUnavailable as exc:
                dialogue.fetched(conversing)
                return await self._ask(self._spoken(conversing.spoken), exc)
            except Exception:
                dialogue.fetched(conversing)  # or whoever asks next would be told of it again
                raise
            finally:
                conversing.relay.listener = None
        dialogue.fetched(conversing)
        if outcome.is_noisy and _asking.can_ask(self._ctx):
            return await self._ask(self._spoken(outcome.spoken), ListeningUnavailable(NOISY))
        return self._answered(outcome, *notes)

    def _answered(self, outcome: Outcome, *notes: str) -> ToolResult:
        if outcome.status is not AnswerStatus.INTERRUPTED:
            self._session.questions.settle(self._call.conversation_id)
        noisy = [NOISY] if outcome.is_noisy else []
        return self._end(
            outcome.status.value,
            outcome.response,
            self._spoken(outcome.spoken),
            *notes,
            *outcome.notes,
            *noisy,
            **outcome.facts,
        )

    # --- typing ------------------------------------------------------------------------------------------------

    async def _ask(self, spoken: SpeakResult | None, why: ListeningUnavailable) -> ToolResult:
        """Nobody can be heard: have the answer typed, where the host can do that.

        Raises:
            ListeningUnavailable: It cannot, and nothing has been said either.
        """
        if not _asking.can_ask(self._ctx):
            if spoken is None:
                raise why
            return self._end("spoken", None, spoken, f"No answer could be heard: {why.advice}")
        text = self._session.questions.pending(self._call.conversation_id) or OPENING
        if _asking.asks_between_calls(self._ctx):
            return _asking.question(text, json.dumps({"spoken": spoken, "why": why.message}))
        return await self._ask_now(text, spoken, why.message)

    async def _ask_now(self, text: str, spoken: SpeakResult | None, why: str) -> ToolResult:
        """Have the question answered, with nobody else talking into it."""
        floor, typed, is_asked = self._session.speaker.floor, None, False
        try:
            async with (
                asyncio.timeout(self._limit_s()),
                floor.hold(self._call.conversation_id, lambda in_front: None),
            ):
                if not self._leaves_time_to_type:
                    return self._end("listening", None, spoken, TOO_LATE_TO_ASK)
                is_asked = True
                typed = await _asking.ask_now(self._ctx, text, self._time_left_s())
        except TimeoutError:
            if not is_asked:
                return self._end("listening", None, spoken, NOT_ASKED)
        except ListeningUnavailable as exc:
            if spoken is None:
                raise
            return self._end("spoken", None, spoken, f"No answer could be heard: {why} {exc.advice}")
        if typed is None:
            return self._end("no_speech", None, spoken, why, "Nobody answered in time.")
        return self._typed(typed, spoken, why)

    def _typed(self, typed: ElicitResult, spoken: SpeakResult | None, why: str) -> ToolResult:
        self._session.questions.settle(self._call.conversation_id)
        text = _asking.words(typed)
        if text is None:
            return self._end("no_speech", None, spoken, "The user chose not to answer.")
        return self._end("answered", text, spoken, TYPED, *([why] if why else []))

    # --- results -----------------------------------------------------------------------------------------------

    def _limit_s(self) -> float:
        return max(0.0, self._session.call_limit_s - self._call.elapsed_s)

    @property
    def _leaves_time_to_type(self) -> bool:
        """Whether a form would be there for long enough to be answered; else the next call has it."""
        return self._limit_s() >= min(LEAST_FORM_S, self._session.call_limit_s * LEAST_FORM_SHARE)

    def _time_left_s(self) -> float:
        """How long the user may take: what was asked for, but never longer than the host waits for the call."""
        return self._limit_s() if self._listen_max_s is None else min(self._listen_max_s, self._limit_s())

    def _spoken(self, spoken: Spoken | None) -> SpeakResult | None:
        return speak_result(spoken, self._session.speaker.unreported()) if spoken is not None else None

    def _queued(self, utterance_id: str) -> SpeakResult:
        return speak_result(Spoken(SpeechStatus.QUEUED, self._call.conversation_id, utterance_id), [])

    def _end(
        self, status: str, response: str | None, spoken: SpeakResult | None, *notes: str, **facts: object
    ) -> ToolResult:
        result = cast(
            "ConverseResult",
            {
                "status": status,
                "response": response,
                "spoken": spoken,
                "conversation_id": self._call.conversation_id,
                **facts,
            },
        )
        if spoken is not None:
            notes = (*notes, *filter(None, [spoken.get("note")]), *([NOT_HEARD] if spoken["status"] == "saved" else []))
        if notes:
            result["note"] = " ".join(notes)
        return answer(converse_line(result), result)
