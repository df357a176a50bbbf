"""A message and the user's answer: speak, listen, and what words ask of the server itself.

    message ▶ speech ┬▶ chime ▶ listening ┬▶ words ▶ answer
                     ▲                    ├▶ "wait a minute"  ▶ listening, with patience
                     └────────────────────┴▶ "repeat that"

It runs in a task of its own. A call waits for it as long as calls may last; the next one goes on with the same, and
what the user says in between is heard like everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from voice_mcp.core.chimes import Chime
from voice_mcp.core.conversation import new_utterance_id
from voice_mcp.core.cues import CueKind
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.core.listening import Ears, Heard, Listening, Wishes
from voice_mcp.core.signals import Signals
from voice_mcp.core.speaking import Speaker, Speech, Spoken
from voice_mcp.core.utterance import Archive, Trail
from voice_mcp.errors import ListeningUnavailable, TranscriptionFailed, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import Microphone, ProgressListener
from voice_mcp.storage.conversation_log import Exchange
from voice_mcp.types import LISTENING_FORMAT, SpeechStatus, Transcript

logger = logging.getLogger(__name__)

OPEN_AHEAD_S = 0.8
"""So long before the agent's last word the microphone is opened."""
LATE_S = 0.15
"""What is heard this soon after the agent's last word is mostly its echo; the pre-roll has it all the same."""
DEAD_S = 1.0
"""A microphone that gave nothing but zeros for so long is muted, or may not be used."""
MOST_NOISES = 2
"""So often a voice without a word is listened to once more; then the place is too noisy."""
DEAD_MICROPHONE = "The microphone gives nothing but zeros: it is muted, or this program may not use it."

Begin = Callable[[str, ProgressListener], Awaitable[Speech]]
"""Begins to say a message once more."""


class AnswerStatus(StrEnum):
    """How it ended."""

    ANSWERED = "answered"
    NO_SPEECH = "no_speech"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message and its answer came to."""

    status: AnswerStatus
    spoken: Spoken | None = None
    response: str | None = None
    transcript: Transcript | None = None
    listen_s: float = 0.0
    end_of_turn_ms: float | None = None
    audio_path: Path | None = None
    notes: tuple[str, ...] = ()
    is_noisy: bool = False
    """Whether there was a voice, and no words: typing may do."""


class Relay:
    """A ``ProgressListener`` whose listener changes: calls come and go while one voice goes on."""

    def __init__(self) -> None:
        self.listener: ProgressListener | None = None
        self.tap: ProgressListener | None = None
        """Told as well; for the house itself."""
        self._position_s = 0.0

    def update(self, position_s: float, total_s: float | None, text: str) -> None:
        """See ``ProgressListener``."""
        self._position_s = position_s
        for listener in (self.tap, self.listener):
            if listener is not None:
                listener(position_s, total_s, text)

    def tell(self, text: str) -> None:
        """Something is going on in which nothing is played."""
        self.update(self._position_s, None, text)


@dataclass(slots=True)
class _Answer:
    """The user's words, turn by turn."""

    said: list[str] = field(default_factory=list)
    last: Heard | None = None
    listen_s: float = 0.0
    noises: int = 0
    notes: list[str] = field(default_factory=list)


class Conversing:
    """One message and its answer. Made by ``Dialogue.start``."""

    def __init__(
        self,
        dialogue: Dialogue,
        conversation_id: str,
        wishes: Wishes,
        relay: Relay,
        *,
        message: str | None,
        speech: Speech | None,
        again: Begin,
    ) -> None:
        self.conversation_id = conversation_id
        self.relay = relay
        self._dialogue = dialogue
        self._wishes = wishes
        self._message = message
        self._speech = speech
        self._again = again
        self.spoken: Spoken | None = None
        """How the message was said, once it was."""
        self._answer = _Answer()
        self._opening: asyncio.Task[OpenMicrophone] | None = None
        self._listening: Listening | None = None
        self._is_saying = self._stopping = False
        self._task = asyncio.create_task(self._converse(), name=f"conversing {conversation_id}")
        self._task.add_done_callback(_log_mistakes)

    @property
    def is_speaking(self) -> bool:
        """Whether the message is being said, or waits to be."""
        return self._is_saying

    @property
    def is_listening(self) -> bool:
        """Whether the user is being listened to."""
        return self._listening is not None

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

    def finish(self) -> bool:
        """The user is through; whether anybody was listening. Returns at once."""
        if self._listening is None:
            return False
        self._listening.finish()
        return True

    def stop(self) -> None:
        """Silence, and the microphone closed. Returns at once; ``result`` tells what there was."""
        if self._stopping or self._task.done():
            return
        self._stopping = True
        if self._speech is not None:
            self._speech.stop()
        if self._listening is not None:
            self._listening.stop()
        elif not self._is_saying:
            self._task.cancel()

    # --- the order of things -----------------------------------------------------------------------------------

    async def _converse(self) -> Outcome:
        try:
            if self._speech is not None:
                self.spoken = await self._say(self._speech)
            if self._stopping or (self.spoken is not None and self.spoken.status is SpeechStatus.INTERRUPTED):
                return self._outcome(AnswerStatus.INTERRUPTED)
            return await self._be_answered()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return self._outcome(AnswerStatus.INTERRUPTED)
        finally:
            await asyncio.shield(self._close_microphone())

    async def _say(self, speech: Speech) -> Spoken:
        """Let a message be heard to its end."""
        self._speech, self._is_saying = speech, True
        self.relay.tap = self._open_ahead
        try:
            return await speech.result()
        except asyncio.CancelledError:
            speech.stop()
            raise
        finally:
            self._is_saying, self.relay.tap = False, None

    async def _be_answered(self) -> Outcome:
        dialogue, status = self._dialogue, None
        await dialogue.see_if_anybody_listens()
        while status is None:
            async with dialogue.speaker.floor.turn(self._say_waiting):
                status = await self._listen()
            if status is None:
                await self._say(await self._again(self._message or "", self.relay.update))
        return self._outcome(status)

    async def _listen(self) -> AnswerStatus | None:
        """Listen until there is an answer or there will be none; None when the message is to be said again."""
        dialogue = self._dialogue
        clock, trail = dialogue.archive.clock, Trail(dialogue.archive, self.conversation_id, None)
        since_s = clock.now()
        hearing = await self._open()
        trail.event(EventType.RECORDING_START)
        try:
            start = hearing.tape.frame_at(since_s + LATE_S)
            hearing.tape.mark(start)
            await dialogue.signals.play(Chime.LISTENING)
            status = await self._take_turns(hearing, start)
            if hearing.condition.zeros_s >= DEAD_S and not self._answer.said:
                self._answer.notes.append(DEAD_MICROPHONE)
        finally:
            await asyncio.shield(self._close_microphone())
            trail.event(EventType.RECORDING_END, {"seconds": round(clock.now() - since_s, 3)})
        if status is not None and not self._stopping:
            await dialogue.signals.play(Chime.DONE if status is AnswerStatus.ANSWERED else Chime.FAILED)
        return status

    async def _take_turns(self, hearing: OpenMicrophone, start: int) -> AnswerStatus | None:
        answer, wishes = self._answer, self._wishes
        while not self._stopping:
            heard = await self._take_turn(hearing, start, wishes)
            start = hearing.tape.end
            if self._stopping or heard.is_silence:
                break
            if heard.problem is not None:
                raise TranscriptionFailed(heard.problem, self.conversation_id)
            assert heard.cue is not None
            if heard.cue.kind is CueKind.REPEAT and self._message is not None:
                return None
            if heard.cue.text:
                answer.said.append(heard.cue.text)
            if heard.cue.kind is CueKind.WAIT:
                wishes = replace(wishes, rules=replace(wishes.rules, no_speech_s=wishes.rules.wait_s))
            elif heard.cue.text or answer.said or answer.noises == MOST_NOISES:
                break
            else:
                answer.noises += 1
        if self._stopping:
            return AnswerStatus.INTERRUPTED
        return AnswerStatus.ANSWERED if answer.said else AnswerStatus.NO_SPEECH

    async def _take_turn(self, hearing: OpenMicrophone, start: int, wishes: Wishes) -> Heard:
        dialogue, answer = self._dialogue, self._answer
        trail = Trail(dialogue.archive, self.conversation_id, new_utterance_id())
        began = dialogue.archive.clock.utc()
        self.relay.tell("listening")
        self._listening = listening = Listening(
            await dialogue.ears(),
            hearing,
            dialogue.archive,
            trail,
            start=start,
            wishes=wishes,
            tell=self.relay.tell,
        )
        try:
            heard = await listening.result()
        except asyncio.CancelledError:
            listening.stop()
            await listening.ended()
            raise
        finally:
            self._listening = None
        answer.listen_s += heard.listen_s
        if not heard.is_silence:
            answer.last = heard
            dialogue.put_on_record(heard, trail, began)
        if heard.recording_problem is not None:
            answer.notes.append(heard.recording_problem)
        return heard

    # --- the microphone ----------------------------------------------------------------------------------------

    def _open_ahead(self, position_s: float, total_s: float | None, text: str) -> None:
        """The message is nearly over: whoever answers at once is to be heard."""
        if self._opening is None and total_s is not None and total_s - position_s <= OPEN_AHEAD_S:
            self._opening = asyncio.create_task(self._dialogue.open_microphone(), name="microphone")

    async def _open(self) -> OpenMicrophone:
        if self._opening is None:
            self._opening = asyncio.create_task(self._dialogue.open_microphone(), name="microphone")
        return await asyncio.shield(self._opening)

    async def _close_microphone(self) -> None:
        opening, self._opening = self._opening, None
        if opening is None:
            return
        with contextlib.suppress(VoiceError):  # what could not be opened need not be closed
            hearing = await opening
            await hearing.aclose()

    # --- the end -----------------------------------------------------------------------------------------------

    def _outcome(self, status: AnswerStatus) -> Outcome:
        answer = self._answer
        last = answer.last or Heard()
        return Outcome(
            status,
            self.spoken,
            response=" ".join(answer.said) or None,
            transcript=last.transcript,
            listen_s=round(answer.listen_s, 3),
            end_of_turn_ms=last.end_of_turn_ms,
            audio_path=last.audio_path,
            notes=tuple(answer.notes),
            is_noisy=answer.noises > 0 and not answer.said,
        )

    def _say_waiting(self, in_front: int) -> None:
        self.relay.tell(f"waiting for {in_front} other{'s' if in_front > 1 else ''} to finish")


class Dialogue:
    """Everything that is asked and answered goes through here.

    Args:
        speaker: Who speaks.
        archive: Where records go.
        microphone: Where answers come from; None when nobody is to be listened to.
        make_ears: Makes what listening takes. Called once, in a thread, for it loads libraries.
        signals: Plays chimes.
    """

    def __init__(
        self,
        speaker: Speaker,
        archive: Archive,
        microphone: Microphone | None,
        make_ears: Callable[[], Ears],
        signals: Signals,
    ) -> None:
        self.speaker = speaker
        self.archive = archive
        self.signals = signals
        self._microphone = microphone
        self._make_ears = make_ears
        self._ears: asyncio.Task[Ears] | None = None
        self._running: dict[str, Conversing] = {}

    @property
    def has_microphone(self) -> bool:
        """Whether anybody is to be listened to."""
        return self._microphone is not None

    @property
    def listening(self) -> tuple[Conversing, ...]:
        """What is under way, or waits to be fetched."""
        return tuple(self._running.values())

    def start(
        self,
        conversation_id: str,
        wishes: Wishes,
        relay: Relay,
        *,
        message: str | None = None,
        speech: Speech | None = None,
        again: Begin,
    ) -> Conversing:
        """Begin with a message, if there is one, and its answer.

        Args:
            conversation_id: Whose.
            wishes: How to listen.
            relay: Told what goes on.
            message: What is asked.
            speech: The same as it is being said.
            again: Says it again.
        """
        conversing = Conversing(self, conversation_id, wishes, relay, message=message, speech=speech, again=again)
        self._running[conversation_id] = conversing
        return conversing

    def pending(self, conversation_id: str) -> Conversing | None:
        """What goes on in a conversation, or has ended and was not fetched."""
        return self._running.get(conversation_id)

    def fetched(self, conversing: Conversing) -> None:
        """Its outcome has reached the agent."""
        if self._running.get(conversing.conversation_id) is conversing:
            del self._running[conversing.conversation_id]

    async def ears(self) -> Ears:
        """What listening takes, made at the first call."""
        if self._ears is None:
            self._ears = asyncio.create_task(asyncio.to_thread(self._make_ears), name="ears")
        return await asyncio.shield(self._ears)

    async def see_if_anybody_listens(self) -> None:
        """See that an answer could be heard and understood, as far as that can be seen without listening.

        Raises:
            ListeningUnavailable: It could not.
        """
        if self._microphone is None:
            raise ListeningUnavailable("No microphone is to be used.", hint="Unset VOICEMODE_AUDIO_INPUT, or type.")
        await (await self.ears()).transcriber.see_if_anybody_listens()

    async def prepare(self) -> None:
        """Load what listening takes, without opening the microphone."""
        if self._microphone is not None:
            await asyncio.gather(self.ears(), self._microphone.prepare())

    async def open_microphone(self) -> OpenMicrophone:
        """Open the microphone.

        Raises:
            MicrophoneUnavailable: There is none that can be opened.
        """
        assert self._microphone is not None
        return await OpenMicrophone.begin(self._microphone)

    async def aclose(self, timeout_s: float) -> None:
        """Stop everything; return when microphones are closed, after ``timeout_s`` seconds at the latest."""
        running = list(self._running.values())
        for conversing in running:
            conversing.stop()
        if running:
            await asyncio.wait([asyncio.ensure_future(each.ended()) for each in running], timeout=timeout_s)

    def put_on_record(self, heard: Heard, trail: Trail, began: datetime) -> None:
        """Write what was heard into the conversation log, and beside its audio where that is to be kept."""
        archive, transcript = self.archive, heard.transcript
        text = transcript.text if transcript is not None else ""
        if archive.keeps_transcripts and text and heard.audio_path is not None:
            archive.recordings.save_transcript(heard.audio_path, text)
        elif archive.keeps_transcripts and text:
            archive.recordings.save_transcript_alone(trail.conversation_id, "stt", text)
        if archive.conversations is None:
            return
        archive.conversations.append(
            Exchange(
                timestamp=began,
                conversation_id=trail.conversation_id,
                utterance_id=trail.utterance_id or "",
                type="stt",
                text=text,
                audio_file=archive.root.relative(heard.audio_path) if heard.audio_path is not None else None,
                duration_ms=round(heard.recorded_s * 1000),
                project_path=archive.project_path,
                metadata=_metadata(heard),
            )
        )


def _metadata(heard: Heard) -> dict[str, Any]:
    transcript = heard.transcript
    metadata: dict[str, Any] = {
        "status": "failed" if heard.problem is not None else "heard" if transcript is not None else "interrupted",
        "engine": transcript.engine if transcript is not None else None,
        "model": transcript.model if transcript is not None else None,
        "language": transcript.language if transcript is not None else None,
        "end_of_turn_ms": heard.end_of_turn_ms,
        "listen_s": round(heard.listen_s, 3),
        "rate_hz": LISTENING_FORMAT.rate_hz,
        "channels": LISTENING_FORMAT.channels,
    }
    if heard.problem is not None:
        metadata["error"] = heard.problem.message
    return metadata


def _log_mistakes(task: asyncio.Task[Outcome]) -> None:
    """A failure is somebody's to report; a mistake of ours must at least be in the log."""
    if not task.cancelled() and (exc := task.exception()) is not None and not isinstance(exc, VoiceError):
        logger.error("conversing failed unexpectedly", exc_info=exc)
