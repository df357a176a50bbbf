"""A message and the user's answer: speak, listen, and what words ask of the server itself.

    message ▶ speech ┬▶ chime ▶ turn ┬▶ words ▶ answer
                ▲    │               ├▶ "wait a minute" ▶ another turn, with patience
                │    └ interrupted ──┤
                └────────────────────┴▶ "repeat that"

It runs in a task of its own. A call waits for it as long as calls may last; the next one goes on with the same, and
what the user says in between is heard like everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voice_mcp.core.answer import Answer, AnswerStatus, Outcome
from voice_mcp.core.barge_in import BargeIn
from voice_mcp.core.chimes import Chime
from voice_mcp.core.conversation import new_utterance_id
from voice_mcp.core.cues import CueKind
from voice_mcp.core.floor import Hold
from voice_mcp.core.interruption import FalseAlarm, Interrupted
from voice_mcp.core.listening import Heard, Listening, Wishes
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.core.relay import Relay
from voice_mcp.core.speaking import Speech, Spoken
from voice_mcp.core.tape import Tape
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import MicrophoneUnavailable, TranscriptionFailed, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import ProgressListener
from voice_mcp.types import CaptureCondition, CapturedSound, SpeechStatus

if TYPE_CHECKING:
    from voice_mcp.core.dialogue import Dialogue

logger = logging.getLogger(__name__)

OPEN_AHEAD_S = 0.8
"""So long before the agent's last word the microphone is opened."""
LATE_S = 0.15
"""What is heard this soon after the agent's last word is mostly its echo; the pre-roll has it all the same."""
SPEECH_COMES_S = 1.0
"""Whoever interrupts speaks already: if no voice is found within this time, there was none."""
MOST_NOISES = 2
"""So often a voice without a word is listened to once more; then the place is too noisy."""
LISTENS, AWAITS_KEY = "listening", "waiting for your key"
"""What the relay is told when a turn begins, and when one by hand could."""

Say = Callable[[str, ProgressListener, Hold], Awaitable[Speech]]
"""Begins to say a message, while the floor is held."""


class Conversing:
    """One message and its answer. Made by ``Dialogue.start``.

    Args:
        dialogue: With whom.
        conversation_id: Whose.
        wishes: How to listen.
        relay: Told what goes on.
        message: What is asked; None: nothing is.
        speech: The same as it is being said.
        say: Says it again.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        conversation_id: str,
        wishes: Wishes,
        relay: Relay,
        *,
        message: str | None,
        speech: Speech | None,
        say: Say,
    ) -> None:
        self.conversation_id = conversation_id
        self.relay = relay
        self.spoken: Spoken | None = None
        """How the message was said, once it was."""
        self._dialogue = dialogue
        self._wishes = wishes
        self._message = message
        self._speech = speech
        self._say_again = say
        self._trail = Trail(dialogue.archive, conversation_id, None)
        self._answer = Answer()
        self._opening: asyncio.Task[OpenMicrophone] | None = None
        self._microphone: OpenMicrophone | None = None
        self._listening: Listening | None = None
        self._key = asyncio.Event()
        self._pressed_s = 0.0
        self._awaits_key = self._cut_short = False
        self._listens_since = dialogue.archive.clock.utc()
        self._barge_in: BargeIn | None = None
        self._decisions: asyncio.Queue[Interrupted | FalseAlarm] = asyncio.Queue()
        self._since_s: float | None = None  # when the message was over
        self._is_saying = self._stopping = False
        # Beside the message: nobody is to wait for it when the message is over.
        self._checking = asyncio.create_task(dialogue.see_if_anybody_listens(), name="check")
        self._checking.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._task = asyncio.create_task(self._converse(), name=f"conversing {conversation_id}")
        self._task.add_done_callback(_log_mistakes)

    @property
    def is_speaking(self) -> bool:
        """Whether the message is being said, or waits to be."""
        return self._is_saying

    @property
    def utterance_id(self) -> str:
        """What the records call what is being said, or was said last; empty when nothing is."""
        return self._speech.utterance_id if self._speech is not None else ""

    @property
    def listens_since(self) -> datetime | None:
        """Since when the user is being listened to; None when nobody listens."""
        return self._listens_since if self._listening is not None or self._awaits_key else None

    @property
    def awaits_key(self) -> bool:
        """Whether ``begin_turn`` is waited for."""
        return self._awaits_key

    @property
    def condition(self) -> CaptureCondition | None:
        """How the microphone is doing; None while it is closed."""
        microphone = self._microphone
        return microphone.condition if microphone is not None else None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    async def result(self) -> Outcome:
        """Wait for the end. Cancelling the waiter stops nothing; ``stop`` does.

        Raises:
            VoiceError: The message could not be said, or the answer could not be heard.
        """
        return await asyncio.shield(self._task)

    async def ended(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait([self._task])

    def begin_turn(self) -> bool:
        """The user wants the word, by a key: what is being said falls silent, a turn by hand begins. Returns at once.

        Returns:
            Whether there was anything to silence or to begin.
        """
        if self._is_saying and self._speech is not None:
            self._cut_short = True
            self._speech.stop()
        elif not self._awaits_key:
            return False
        self._pressed_s = self._now_s
        self._key.set()
        return True

    def finish(self) -> bool:
        """The user is through; whether anybody was listening. Returns at once."""
        if self._listening is None:
            return False
        self._listening.finish()
        return True

    def stop(self, note: str | None = None) -> None:
        """Silence, and the microphone closed. Returns at once; ``result`` tells what there was.

        Args:
            note: What the agent should know of why.
        """
        if self._stopping or self._task.done():
            return
        self._stopping = True
        if note is not None:
            self._answer.notes.append(note)
        self._let_go_of_the_microphone()
        if self._speech is not None:
            self._speech.stop()
        if self._listening is not None:
            self._listening.stop()
        elif not self._is_saying:
            self._task.cancel()

    # --- the order of things -----------------------------------------------------------------------------------

    async def _converse(self) -> Outcome:
        try:
            interruption = await self._say(self._speech) if self._speech is not None else None
            if self._is_stopped and interruption is None:
                return self._answer.outcome(AnswerStatus.INTERRUPTED, self.spoken)
            return await self._be_answered(interruption)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return self._answer.outcome(AnswerStatus.INTERRUPTED, self.spoken)
        finally:
            self._checking.cancel()
            await asyncio.shield(self._close_microphone())

    @property
    def _is_stopped(self) -> bool:
        """Whether somebody silenced it, here or the message alone, and not in order to speak."""
        is_silenced = self.spoken is not None and self.spoken.status is SpeechStatus.INTERRUPTED
        return self._stopping or (is_silenced and not self._cut_short)

    async def _be_answered(self, interruption: Heard | None) -> Outcome:
        dialogue, status = self._dialogue, None
        if interruption is None:
            await self._checking
        async with dialogue.speaker.floor.hold(self.conversation_id, self._say_waiting) as hold:
            while status is None:
                status = await self._listen(interruption)
                if status is None:
                    speech = await self._say_again(self._message or "", self.relay.update, hold)
                    interruption = await self._say(speech)
        return self._answer.outcome(status, self.spoken)

    async def _listen(self, interruption: Heard | None) -> AnswerStatus | None:
        """Listen until there is an answer or there will be none; None when the message is to be said again."""
        signals = self._dialogue.signals
        since_s, self._since_s = self._since_s or self._now_s, None
        microphone = await self._open()
        try:
            tape = microphone.tape
            start = tape.frame_at(since_s + LATE_S) if interruption is None else interruption.over_at
            microphone.tape.mark(start)
            if interruption is None:
                await signals.play(Chime.LISTENING)
            again = await self._take_turns(microphone, start, interruption)
            if (gone_s := microphone.tape.lost_s) > 0:
                self._answer.notes.append(f"The microphone was gone for {gone_s:.1f} s; what was said then is missing.")
        except TranscriptionFailed:
            await signals.play(Chime.FAILED)
            raise
        finally:
            await asyncio.shield(self._close_microphone())
        if again:
            return None
        if self._stopping:
            return AnswerStatus.INTERRUPTED
        signals.play_beside(Chime.DONE if self._answer.said else Chime.FAILED)
        is_interrupted = interruption is not None or (self._cut_short and self._answer.said)
        return AnswerStatus.INTERRUPTED if is_interrupted else self._answer.status

    async def _take_turns(self, microphone: OpenMicrophone, start: int, heard: Heard | None) -> bool:
        """Listen turn by turn until there is an answer or there will be none; whether the message is to be said again.

        Args:
            microphone: To what.
            start: The frame from which on.
            heard: The first turn, if it is over already.
        """
        answer, wishes = self._answer, self._wishes
        while not self._stopping:
            if heard is None:
                begin = await self._await_key(microphone) if wishes.by_hand else start
                if begin is None:
                    break
                heard = await self._take_turn(microphone, begin, wishes)
            if self._stopping or heard.is_silence:
                break
            if heard.problem is not None:
                raise TranscriptionFailed(heard.problem, self.conversation_id, is_kept=heard.audio_path is not None)
            assert heard.cue is not None
            if heard.cue.kind is CueKind.REPEAT and self._message is not None:
                return True
            if heard.cue.text:
                answer.said.append(heard.cue.text)
            if heard.cue.kind is CueKind.WAIT:
                wishes = replace(wishes, rules=replace(wishes.rules, no_speech_s=wishes.rules.wait_s))
            elif answer.said or answer.noises == MOST_NOISES:
                break
            else:
                answer.noises += 1
            start, heard = heard.over_at, None
        return False

    async def _await_key(self, microphone: OpenMicrophone) -> int | None:
        """The frame at which the user begins a turn by hand; None when nobody does in the longest a turn may take."""
        if not self._key.is_set():
            microphone.tape.unmark()
        self._awaits_key, self._listens_since = True, self._dialogue.archive.clock.utc()
        self.relay.tell(AWAITS_KEY)
        try:
            async with asyncio.timeout(self._wishes.rules.most_s):
                await self._key.wait()
        except TimeoutError:
            return None
        finally:
            self._awaits_key = False
        self._key.clear()
        begin = microphone.tape.frame_at(self._pressed_s)
        microphone.tape.mark(begin)
        return begin

    async def _take_turn(self, microphone: OpenMicrophone, start: int, wishes: Wishes) -> Heard:
        dialogue = self._dialogue
        trail = Trail(dialogue.archive, self.conversation_id, new_utterance_id())
        self._listens_since = began = dialogue.archive.clock.utc()
        ears = await dialogue.ears()
        self.relay.tell(LISTENS)
        self._listening = listening = Listening(
            ears, microphone, dialogue.archive, trail, start=start, wishes=wishes, tell=self.relay.tell
        )
        try:
            heard = await listening.result()
        except MicrophoneUnavailable as exc:
            if not self._answer.said:
                raise
            heard = Heard(remarks=(exc.message,))  # an answer is there, and nothing comes to it any more
        except asyncio.CancelledError:
            listening.stop()
            await listening.ended()
            raise
        finally:
            self._listening = None
        self._answer.add(heard)
        if heard.is_worth_recording:
            dialogue.put_on_record(heard, trail, began)
        return heard

    # --- speaking ----------------------------------------------------------------------------------------------

    async def _say(self, speech: Speech) -> Heard | None:
        """Let a message be heard to its end, or until somebody interrupts it; what was said then."""
        self._speech, self._is_saying, self._cut_short = speech, True, False
        self._key.clear()
        try:
            listens = await self._prepare_barge_in() and not self._stopping
            interruption = await self._listen_meanwhile(speech) if listens else None
            if interruption is None:
                self.relay.tap = self._open_ahead
            self.spoken = await speech.result()
            self._since_s = self._now_s
            if interruption is None:
                self._keep_the_answer()
            return interruption
        except asyncio.CancelledError:
            speech.stop()
            raise
        finally:
            self._is_saying, self.relay.tap = False, None

    async def _prepare_barge_in(self) -> bool:
        """Whether a voice can interrupt the agent; where that was asked for and cannot be, the user is told."""
        if self._wishes.by_hand:
            return False  # a key does
        if self._barge_in is None:
            try:
                self._barge_in = await self._dialogue.barge_in()
            except VoiceError as exc:
                self._answer.notes.append(exc.advice)
        return self._barge_in is not None

    async def _listen_meanwhile(self, speech: Speech) -> Heard | None:
        """Listen while the agent speaks; what somebody said who interrupted it."""
        assert self._barge_in is not None
        opening, ended = self._begin_to_open(), asyncio.ensure_future(speech.ended())
        try:
            await asyncio.wait([opening, ended], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done() or opening.cancelled():
                return None  # it is over before anybody could listen
            microphone = opening.result()
            self._barge_in.agent_speaks()
            while (decision := await self._next_decision(ended)) is not None:
                if isinstance(decision, Interrupted):
                    heard = await self._be_interrupted(speech, microphone, decision)
                    if heard is not None:
                        return heard
        except VoiceError as exc:
            if not opening.done() or opening.exception() is not exc:
                raise
            logger.warning("%s", exc.advice)  # the same is told when the answer is due
        finally:
            ended.cancel()
            self._barge_in.agent_is_silent()
        return None

    async def _next_decision(self, ended: asyncio.Future[Any]) -> Interrupted | FalseAlarm | None:
        """What is decided next; None when the message is over first."""
        decision = asyncio.ensure_future(self._decisions.get())
        try:
            await asyncio.wait([ended, decision], return_when=asyncio.FIRST_COMPLETED)
            return decision.result() if decision.done() else None
        finally:
            decision.cancel()

    async def _be_interrupted(
        self, speech: Speech, microphone: OpenMicrophone, interrupted: Interrupted
    ) -> Heard | None:
        """Fall silent and listen; go on with the word that was cut off if nobody says one."""
        assert self._barge_in is not None
        speech.hold()
        self._trail.event(EventType.BARGE_IN, {"confirmed_s": round(interrupted.at_s - interrupted.speech_s, 3)})
        tape = microphone.tape
        start = tape.frame_at(interrupted.speech_s)
        tape.mark(start)
        heard = await self._hear_interruption(microphone, start, SPEECH_COMES_S)
        while heard is not None and self._goes_on(heard, tape):
            heard = await self._hear_interruption(microphone, heard.over_at, 0.0)
        if heard is not None and heard.has_words:
            self._barge_in.words_came()
            speech.stop()
            return heard
        tape.unmark()
        self._barge_in.no_words_came()
        self._barge_in.agent_speaks()
        self._trail.event(EventType.BARGE_IN, {"resumed": True})
        speech.go_on()
        return None

    def _goes_on(self, heard: Heard, tape: Tape) -> bool:
        """Whether somebody spoke on while it was found out that there were no words."""
        assert self._barge_in is not None
        spoke_on = self._barge_in.speech_end_s > tape.moment(heard.over_at)
        return spoke_on and not heard.has_words and not self._stopping

    async def _hear_interruption(self, microphone: OpenMicrophone, start: int, comes_s: float) -> Heard | None:
        """A turn of somebody who interrupts; None when it is known meanwhile that nobody does.

        Args:
            microphone: From where.
            start: The frame from which on.
            comes_s: How long a voice is waited for.
        """
        rules = replace(self._wishes.rules, no_speech_s=comes_s)
        turn = asyncio.ensure_future(self._take_turn(microphone, start, replace(self._wishes, rules=rules)))
        try:
            alarm = await self._next_decision(turn)
            if alarm is not None and self._listening is not None:
                self._listening.stop()
            heard = await turn
        finally:
            turn.cancel()
        return heard if alarm is None else None

    # --- the microphone ----------------------------------------------------------------------------------------

    def _open_ahead(self, position_s: float, total_s: float | None, text: str) -> None:
        """The message is nearly over: whoever answers at once is to be heard."""
        is_nearly_over = total_s is not None and total_s - position_s <= OPEN_AHEAD_S
        if self._opening is None and is_nearly_over and not self._stopping:
            self._begin_to_open()

    def _begin_to_open(self) -> asyncio.Task[OpenMicrophone]:
        if self._opening is None:
            clean = self._clean if self._barge_in is not None else None
            self._opening = asyncio.create_task(
                self._dialogue.open_microphone(clean, self._tell_loss), name="microphone"
            )
            self._opening.add_done_callback(self._tell_open)
        return self._opening

    async def _open(self) -> OpenMicrophone:
        return await asyncio.shield(self._begin_to_open())

    def _let_go_of_the_microphone(self) -> None:
        """Hear nothing more, however long the rest takes to end: the next conversation may want to hear at once."""
        if self._opening is None:
            return
        self._opening.cancel()
        if self._opening.done() and not self._opening.cancelled() and self._opening.exception() is None:
            self._opening.result().close()

    async def _close_microphone(self) -> None:
        opening, self._opening, self._microphone = self._opening, None, None
        if opening is None:
            return
        opening.cancel()  # nobody would listen any more: it is not to open first, to be closed then
        await asyncio.wait([opening])
        if opening.cancelled() or opening.exception() is not None:
            return  # what could not be opened need not be closed
        microphone = opening.result()
        try:
            await microphone.aclose()
        finally:
            self._trail.event(EventType.RECORDING_END, {"seconds": round(microphone.heard_s, 3)})

    def _tell_open(self, opening: asyncio.Task[OpenMicrophone]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._microphone = opening.result() if opening is self._opening else None
            self._trail.event(EventType.RECORDING_START)
            self._keep_the_answer()

    def _keep_the_answer(self) -> None:
        """However long it takes until somebody listens: nothing is forgotten that is heard after the message."""
        if self._microphone is not None and self._since_s is not None:
            self._microphone.tape.mark(self._microphone.tape.frame_at(self._since_s + LATE_S))

    def _tell_loss(self, reason: str) -> None:
        self._trail.event(EventType.DEVICE_LOST, {"message": reason})

    def _clean(self, sound: CapturedSound) -> CapturedSound:
        """What is worth keeping of what was heard; who interrupts is noticed on the way."""
        assert self._barge_in is not None
        heard = self._barge_in.add(sound)
        for decision in heard.decisions:
            self._decisions.put_nowait(decision)
        return heard.sound

    # --- small things ------------------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return self._dialogue.archive.clock.now()

    def _say_waiting(self, in_front: int) -> None:
        self.relay.tell(f"waiting for {in_front} other{'s' if in_front > 1 else ''} to finish")


def _log_mistakes(task: asyncio.Task[Outcome]) -> None:
    """A failure is somebody's to report; a mistake of ours must at least be in the log."""
    if not task.cancelled() and (exc := task.exception()) is not None and not isinstance(exc, VoiceError):
        logger.error("conversing failed unexpectedly", exc_info=exc)
