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
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from voice_mcp.core.answer import Answer, AnswerStatus, Outcome
from voice_mcp.core.chimes import Chime
from voice_mcp.core.conversation import new_utterance_id
from voice_mcp.core.cues import CueKind
from voice_mcp.core.floor import Hold
from voice_mcp.core.interrupting import Interrupting
from voice_mcp.core.lease import Lease
from voice_mcp.core.listening import Heard, Listening, Wishes
from voice_mcp.core.open_microphone import Clean, OpenMicrophone
from voice_mcp.core.relay import Relay
from voice_mcp.core.speech import Speech, Spoken
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import MicrophoneUnavailable, TranscriptionFailed, VoiceError
from voice_mcp.protocols import ProgressListener
from voice_mcp.types import CaptureCondition, SpeechStatus

if TYPE_CHECKING:
    from voice_mcp.core.dialogue import Dialogue

logger = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_AHEAD_S = 0.8
"""So long before the agent's last word the microphone is opened."""
LATE_S = 0.15
"""What is heard this soon after the agent's last word is mostly its echo; the pre-roll has it all the same."""
MOST_NOISES = 2
"""So often a voice without a word is listened to once more; then the place is too noisy."""
LISTENS, AWAITS_KEY = "listening", "waiting for your key"
"""What the relay is told when a turn begins, and when one by hand could."""

Say = Callable[[str, ProgressListener, Hold], Awaitable[Speech]]
"""Begins to say a message, while the floor is held."""


class _Then(Enum):
    """What follows a turn."""

    NOTHING = auto()
    """There is an answer, or there will be none."""
    TURN = auto()
    MESSAGE = auto()
    """It is to be said again."""


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
        self._lease = Lease(dialogue.open_microphone, self._trail)
        self._listening: Listening | None = None
        self._key = asyncio.Event()
        self._pressed_s = 0.0
        self._awaits_key = self._cut_short = False
        self._listens_since = dialogue.archive.clock.utc()
        self._interrupting: Interrupting | None = None
        self._since_s: float | None = None  # when the message was over
        self._listened_s = 0.0  # to the answer: what is left of the longest wait is for the next turn
        self._is_saying, self._begun, self._stopping = speech is not None, False, False
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
        return self._lease.condition

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
            self._speech.stop(keeps_floor=True)
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
        self._lease.let_go()
        if self._speech is not None:
            self._speech.stop()
        if self._interrupting is not None:
            self._interrupting.stop()
        # Before its first step a task has nobody who would tell the end.
        if not self._drop_turn() and self._begun and not self._is_saying:
            self._task.cancel()

    def _drop_turn(self) -> bool:
        """Listen no more to the turn that is being taken; whether one was."""
        if self._listening is None:
            return False
        self._listening.stop()
        return True

    # --- the order of things -----------------------------------------------------------------------------------

    async def _converse(self) -> Outcome:
        self._begun = True
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
            await asyncio.shield(self._lease.aclose())

    @property
    def _is_stopped(self) -> bool:
        """Whether somebody silenced it, here or the message alone, and not in order to speak."""
        is_silenced = self.spoken is not None and self.spoken.status is SpeechStatus.INTERRUPTED
        return self._stopping or (is_silenced and not self._cut_short)

    async def _be_answered(self, interruption: Heard | None) -> Outcome:
        then = await self._weigh(interruption) if interruption is not None else _Then.TURN
        if self._speech is None:
            await self._checking  # before the floor is waited for: nothing was asked yet that belongs to the answer
        if then is not _Then.NOTHING:
            async with self._dialogue.speaker.floor.hold(self.conversation_id, self._say_waiting) as hold:
                if interruption is None:
                    await self._checking
                if self._speech is not None and self._speech.floor is not hold:
                    self._since_s = None  # others had the floor meanwhile: what was heard of them is no answer
                    self._lease.keep_from(None)
                while then is not _Then.NOTHING:
                    if then is _Then.MESSAGE:
                        speech = await self._say_again(self._message or "", self.relay.update, hold)
                        interruption = await self._say(speech)
                        if interruption is None and self._is_stopped:
                            return self._answer.outcome(AnswerStatus.INTERRUPTED, self.spoken)
                        then = await self._weigh(interruption) if interruption is not None else _Then.TURN
                    else:
                        then = await self._listen(interruption.over_at if interruption is not None else None)
        return await self._end(was_interrupted=interruption is not None)

    async def _end(self, *, was_interrupted: bool) -> Outcome:
        """There is an answer, or there will be none: the user is told, and heard no more."""
        answer = self._answer
        await asyncio.shield(self._lease.aclose())
        if self._stopping:
            return answer.outcome(AnswerStatus.INTERRUPTED, self.spoken)
        self._dialogue.signals.play_beside(Chime.DONE if answer.said else Chime.FAILED)
        was_interrupted = was_interrupted or (self._cut_short and bool(answer.said))
        return answer.outcome(AnswerStatus.INTERRUPTED if was_interrupted else answer.status, self.spoken)

    async def _listen(self, begun_at: int | None) -> _Then:
        """Listen until there is an answer, or there will be none, or the message is to be said again.

        Args:
            begun_at: The frame from which on, where the user has begun already, while the message was said.
        """
        since_s, self._since_s = self._since_s or self._now_s, None
        self._lease.keep_from(None)  # it is marked below
        microphone = await self._lease.have(self._cleaner)
        try:
            tape, since = microphone.tape, microphone.tape.frame_at(since_s + LATE_S)
            start = since if begun_at is None else min(begun_at, tape.end)  # it may be another tape by now
            tape.mark(start)
            if begun_at is None:
                await self._dialogue.signals.play(Chime.LISTENING)
            then = await self._take_turns(microphone, start)
            if (gone_s := microphone.tape.lost_s) > 0:
                self._answer.notes.append(f"The microphone was gone for {gone_s:.1f} s; what was said then is missing.")
            return then
        finally:
            await asyncio.shield(self._lease.aclose())

    async def _take_turns(self, microphone: OpenMicrophone, start: int) -> _Then:
        """Listen turn by turn, from frame number ``start`` on, for as long as one follows the other."""
        while not self._stopping and self._left_s > 0:
            begin = await self._await_key(microphone) if self._wishes.by_hand else start
            if begin is None:
                break
            heard = await self._take_turn(microphone, begin, self._wishes_now)
            then = await self._weigh(heard)
            if then is not _Then.TURN:
                return then
            start = heard.over_at
        return _Then.NOTHING

    async def _weigh(self, heard: Heard) -> _Then:
        """Take in what was said; what follows.

        Raises:
            TranscriptionFailed: Nobody could understand it.
        """
        answer = self._answer
        self._listened_s += heard.listen_s
        if self._stopping or heard.is_silence:
            return _Then.NOTHING
        if heard.problem is not None:
            await self._dialogue.signals.play(Chime.FAILED)
            said, is_kept = " ".join(answer.said), heard.audio_path is not None
            raise TranscriptionFailed(heard.problem, self.conversation_id, said=said, is_kept=is_kept)
        assert heard.cue is not None
        if heard.cue.kind is CueKind.REPEAT and self._message is not None:
            return _Then.MESSAGE
        if words := self._words(heard):
            answer.said.append(words)
        if heard.cue.kind is CueKind.WAIT:
            rules = self._wishes.rules
            self._wishes = replace(self._wishes, rules=replace(rules, no_speech_s=rules.wait_s))
        elif answer.said or answer.noises == MOST_NOISES:
            return _Then.NOTHING
        else:
            answer.noises += 1
        return _Then.TURN

    def _words(self, heard: Heard) -> str:
        """What of a turn is for the agent; what asks the server for something it cannot do is."""
        cue, transcript = heard.cue, heard.transcript
        assert cue is not None
        assert transcript is not None
        stands_alone = cue.kind is CueKind.REPEAT or (cue.kind is CueKind.END_WORD and not self._answer.said)
        return cue.text or (transcript.text.strip() if stands_alone else "")

    @property
    def _left_s(self) -> float:
        """How long the user may still be listened to, in seconds."""
        return self._wishes.rules.most_s - self._listened_s

    @property
    def _wishes_now(self) -> Wishes:
        """How to listen to the next turn: the limits are the answer's, however many turns it has."""
        rules, left_s = self._wishes.rules, self._left_s
        least_s = max(0.0, rules.least_s - self._listened_s)
        rules = replace(rules, least_s=least_s, most_s=left_s, no_speech_s=min(rules.no_speech_s, left_s))
        return replace(self._wishes, rules=rules)

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
            interrupting = await self._who_may_interrupt()
            interruption = None
            if interrupting is not None and not self._stopping:
                interruption = await interrupting.listen_during(speech)
            if interruption is None:
                self.relay.tap = self._open_ahead
            self.spoken = await speech.result()
            self._since_s = self._now_s
            if interruption is None:
                self._lease.keep_from(self._since_s + LATE_S)
            return interruption
        except VoiceError:
            speech.stop()
            with contextlib.suppress(VoiceError):
                self.spoken = await speech.result()  # what was heard of it is known all the same
            raise
        except BaseException:
            speech.stop()  # it may be held, and would keep the floor
            raise
        finally:
            self._is_saying, self.relay.tap = False, None

    async def _who_may_interrupt(self) -> Interrupting | None:
        """Whoever hears a voice that interrupts; where that was asked for and cannot be had, the agent is told."""
        if self._wishes.by_hand:
            return None  # a key does
        if self._interrupting is None:
            try:
                barge_in = await self._dialogue.barge_in()
            except VoiceError as exc:
                self._answer.notes.append(exc.advice)
            else:
                if barge_in is not None:
                    self._interrupting = Interrupting(
                        barge_in, self._lease, self._trail, self._take_interruption, self._drop_turn
                    )
        return self._interrupting

    async def _take_interruption(self, microphone: OpenMicrophone, start: int, comes_s: float) -> Heard:
        rules = replace(self._wishes.rules, no_speech_s=comes_s)
        return await self._take_turn(microphone, start, replace(self._wishes, rules=rules))

    def _open_ahead(self, position_s: float, total_s: float | None, text: str) -> None:
        """The message is nearly over: whoever answers at once is to be heard."""
        is_nearly_over = total_s is not None and total_s - position_s <= OPEN_AHEAD_S
        if is_nearly_over and not self._lease.is_begun and not self._stopping:
            self._lease.begin(self._cleaner)

    @property
    def _cleaner(self) -> Clean | None:
        """What everything heard goes through, where somebody may interrupt."""
        return self._interrupting.clean if self._interrupting is not None else None

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
