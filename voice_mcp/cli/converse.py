"""`voice-mcp converse`: says something, listens, and prints the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from voice_mcp.app import App
from voice_mcp.cli.ending import Ending
from voice_mcp.cli.house import house, read_settings
from voice_mcp.cli.keyboard import Keyboard, find_keyboard
from voice_mcp.cli.output import AsJson, print_json, standard_error, visible, warn
from voice_mcp.cli.speak import Speed, VoiceName
from voice_mcp.cli.spoken import failure_record, spoken_record
from voice_mcp.cli.talk_keys import TalkKeys
from voice_mcp.cli.turn_view import TurnView
from voice_mcp.core.answer import NOISY, TYPED, AnswerStatus, Outcome
from voice_mcp.core.conversation import check_conversation_id
from voice_mcp.core.conversing import Conversing
from voice_mcp.core.speech import Spoken
from voice_mcp.errors import ListeningUnavailable, VoiceError
from voice_mcp.settings import Settings

NO_ANSWER, STOPPED = 3, 4
"""Exit codes, besides 0 for an answer, 1 for an error, 2 for a command that makes no sense and 128 + a signal."""
STOP_S = 1.0
"""How long a conversation that is stopped may take to say what came of it."""
LONGEST_S = 3600.0
NO_KEYS = "keys need a terminal on standard input, and the foreground of it"
WHAT_IS_MISSING = "Run `voice-mcp doctor`, which says what is missing; on a terminal the answer may be typed."

Words = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="What to say; nothing: only listen.", show_default=False)
]
PushToTalk = Annotated[
    bool, typer.Option("--push-to-talk", "-p", help="By hand: hold space to speak, or tap it before and after.")
]
ConversationId = Annotated[
    str | None, typer.Option("--conversation-id", "--conversation", "-c", help="Continue this conversation.")
]
MaxSeconds = Annotated[
    float | None, typer.Option(min=0, max=LONGEST_S, metavar="S", help="Longest wait for the answer.")
]
MinSeconds = Annotated[float | None, typer.Option(min=0, max=LONGEST_S, metavar="S", help="No answer ends before.")]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be asked, as it was typed."""

    message: str | None
    voice: str | None
    speed: float | None
    conversation_id: str | None
    least_s: float | None
    most_s: float | None
    by_hand: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it."""

    outcome: Outcome
    conversation_id: str
    stopped: int | None
    """The exit code, where somebody stopped it."""
    was_told: bool
    """Whether the user knows already what the notes say."""

    @property
    def exit_code(self) -> int:
        """What a script goes by."""
        if self.stopped is not None:
            return self.stopped
        if self.outcome.response is not None:
            return 0
        return STOPPED if self.outcome.status is AnswerStatus.INTERRUPTED else NO_ANSWER

    @property
    def record(self) -> dict[str, Any]:
        """The shape of the `converse` tool's result."""
        outcome = self.outcome
        record: dict[str, Any] = {
            "status": outcome.status.value,
            "response": outcome.response,
            "spoken": spoken_record(outcome.spoken) if outcome.spoken is not None else None,
            "conversation_id": self.conversation_id,
            **outcome.facts,
        }
        return record | ({"note": " ".join(outcome.notes)} if outcome.notes else {})


def converse(
    words: Words = None,
    voice: VoiceName = None,
    speed: Speed = None,
    push_to_talk: PushToTalk = False,
    max_seconds: MaxSeconds = None,
    min_seconds: MinSeconds = None,
    conversation_id: ConversationId = None,
    as_json: AsJson = False,
) -> None:
    """Say something, listen, and print the answer.

    Standard output gets the user's words and nothing else. Keys on a terminal: space cuts the message short, space or
    Enter ends your turn, Esc stops everything. With --push-to-talk silence ends no turn: hold space while you speak,
    or tap it to begin and again to end. Where nobody can be heard, the answer is typed; there Ctrl+C stops.

    The exit code is 0 with an answer, 1 after an error, 3 when nobody answered, 4 when it was stopped.
    """
    keyboard = find_keyboard()
    if push_to_talk and keyboard is None:
        raise typer.BadParameter(NO_KEYS, param_hint="--push-to-talk")
    message = " ".join(words or []).strip() or None
    order = Order(message, voice, speed, conversation_id, min_seconds, max_seconds, push_to_talk)
    try:
        ended = asyncio.run(_Conversation(read_settings(), order, keyboard).hold())
    except VoiceError as exc:
        if as_json:
            print_json(failure_record(exc))
        raise
    _print(ended, as_json=as_json)
    raise typer.Exit(ended.exit_code)


def _print(ended: Ended, *, as_json: bool) -> None:
    outcome = ended.outcome
    if as_json:
        print_json(ended.record)
        return
    if outcome.response is not None:
        typer.echo(visible(outcome.response))
    elif ended.exit_code == NO_ANSWER:
        warn(NOISY if outcome.is_noisy else "Nobody answered.")
    else:
        warn("Stopped.")
    for note in () if ended.was_told else outcome.notes:
        warn(note)


class _Conversation:
    """One question and its answer."""

    def __init__(self, settings: Settings, order: Order, keyboard: Keyboard | None) -> None:
        self._settings = settings
        self._order = order
        self._keyboard = keyboard
        self._console = standard_error()
        self._ending = Ending()
        self._escape = asyncio.Event()
        self._stopped: int | None = None
        self._was_told = False

    async def hold(self) -> Ended:
        """Speak, listen, and tell what came of it.

        Raises:
            VoiceError: Something could not be said, or nobody could be heard or understood.
        """
        self._ending.watch()
        async with house(self._settings) as app:
            named = self._order.conversation_id
            conversation_id = app.session.conversation_id if named is None else check_conversation_id(named)
            try:
                outcome = await self._ask(app, conversation_id)
            except asyncio.CancelledError:
                self._stopped = self._ending.exit_code
                outcome = Outcome(AnswerStatus.INTERRUPTED)
            return Ended(outcome, conversation_id, self._stopped, self._was_told)

    @property
    def _may_type(self) -> bool:
        """Whether somebody sees a question, and can type an answer."""
        return self._keyboard is not None and self._console.is_terminal

    async def _ask(self, app: App, conversation_id: str) -> Outcome:
        order, session = self._order, app.session
        arrived_s = app.clock.now()
        manner = session.manner(order.voice, order.speed, None)
        app.warm_up()
        if not self._may_type:
            await self._see_if_anybody_listens(app)
        wishes = session.wishes(order.least_s, order.most_s, by_hand=order.by_hand)
        conversing = await session.ask(order.message, manner, wishes, conversation_id, arrived_s)
        try:
            outcome = await self._answer(conversing)
        except ListeningUnavailable as exc:
            if not self._may_type:
                raise
            return await self._typed(conversing.spoken, exc.message)
        if outcome.is_noisy and self._may_type and self._stopped is None:
            return await self._typed(outcome.spoken, NOISY)
        return outcome

    async def _see_if_anybody_listens(self, app: App) -> None:
        """Before anything is said: nobody is here who could type instead."""
        try:
            await app.session.dialogue.see_if_anybody_listens()
        except ListeningUnavailable as exc:
            hint = WHAT_IS_MISSING if exc.hint == ListeningUnavailable.hint else exc.hint
            raise ListeningUnavailable(f"{exc.message.rstrip('.')}; so nothing was said.", hint=hint) from exc

    # --- the answer by voice -----------------------------------------------------------------------------------

    async def _answer(self, conversing: Conversing) -> Outcome:
        """Wait for the answer, for Esc, or for a signal."""
        result = asyncio.ensure_future(conversing.result())
        escape = asyncio.ensure_future(self._escape.wait())
        try:
            async with self._at_the_terminal(conversing):
                await asyncio.wait([result, escape], return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            self._stopped = STOPPED
        except asyncio.CancelledError:
            self._stopped = self._ending.exit_code
        finally:
            escape.cancel()
        conversing.stop()
        await asyncio.wait([result], timeout=STOP_S)  # words that are being understood are not waited for
        if result.done():
            return result.result()
        result.cancel()
        return Outcome(AnswerStatus.INTERRUPTED, conversing.spoken)

    @asynccontextmanager
    async def _at_the_terminal(self, conversing: Conversing) -> AsyncIterator[None]:
        """What goes on is shown and keys are taken, as far as there is a terminal for it."""
        async with contextlib.AsyncExitStack() as stack:
            if self._keyboard is not None:
                keys = TalkKeys(conversing, by_hand=self._order.by_hand, stop=self._escape.set)
                stack.enter_context(self._keyboard.keys(keys.take))
            if self._console.is_terminal:
                view = TurnView(has_keys=self._keyboard is not None, by_hand=self._order.by_hand)
                await stack.enter_async_context(view.shown_on(self._console, conversing))
                conversing.relay.listener = view.update
                stack.callback(setattr, conversing.relay, "listener", None)
            yield

    # --- the answer by hand ------------------------------------------------------------------------------------

    async def _typed(self, spoken: Spoken | None, why: str) -> Outcome:
        assert self._keyboard is not None
        warn(why)
        self._was_told = True
        try:
            async with asyncio.timeout(self._order.most_s):
                text = await self._keyboard.line(self._show_question)
        except TimeoutError:
            text = None
        except asyncio.CancelledError:
            self._stopped = self._ending.exit_code
            self._console.print()
            return Outcome(AnswerStatus.INTERRUPTED, spoken, notes=(why,))
        if text is None:
            self._console.print()
        if not text:
            return Outcome(AnswerStatus.NO_SPEECH, spoken, notes=(why,))
        return Outcome(AnswerStatus.ANSWERED, spoken, response=text, notes=(TYPED, why))

    def _show_question(self) -> None:
        message = self._order.message
        question = (f"{visible(message)} ", "bold") if message is not None else ""
        self._console.print(Text.assemble(question, "> "), end="")
