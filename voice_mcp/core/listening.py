"""One turn of the user: from the moment somebody listens to the words.

    microphone ▶ tape ▶ detector ▶ endpointer ─┬ pause: guess (is it over? what was said?) ─┐
                  └───── recording             └ over ◀────────────────────────────────────┴▶ words

What takes time is begun at every pause, for the pause may be the end; whoever goes on makes it void.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voice_mcp.core.cues import Cue, Cues
from voice_mcp.core.endpointing import (
    Decision,
    Endpointer,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TooLong,
    TurnEnded,
    TurnRules,
)
from voice_mcp.core.following import Following
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.core.pauses import Pauses
from voice_mcp.core.recorder import Recorder
from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Archive, Trail
from voice_mcp.errors import EngineError, StorageError, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import TurnModel, VoiceDetector
from voice_mcp.types import LISTENING_FORMAT, CaptureCondition, SpeechSpan, Transcript

logger = logging.getLogger(__name__)

AFTER_SPEECH_S = 0.3
"""What is transcribed of the silence after the last word: its end is soft."""
NEVER_S = 86_400.0
DEAD_S = 1.0
"""A microphone that gave nothing but zeros for so long is muted, or may not be used."""
DEAD_MICROPHONE = "The microphone gives nothing but zeros: it is muted, or this program may not use it."
DEAD_FILE = "The file that is listened to gives nothing but zeros: it is over, or nobody speaks in it."
GRACE_S = 3.0
"""So long at least somebody is waited for who has not spoken by now, or half of what is granted if that is less."""
KEY_LATE_S = 0.5
"""How long the last word is waited for, at most, when a key ends the turn: over Bluetooth it comes late."""
CLIPPED_SHARE = 0.02
"""Of the samples of a second: more than this at full scale is heard as distortion."""
CLIPPED = "The microphone is overdriven: lower its level, or move away from it."
IS_HEARD, UNDERSTANDS = "listening: you are heard", "understanding what you said"
"""What is told when somebody has begun to speak, and when the turn is over and its words are not known yet."""

Tell = Callable[[str], None]
"""Told in a few words what is going on; returns at once."""


@dataclass(frozen=True, slots=True)
class Ears:
    """What listening takes.

    ``detector`` and ``turn_model`` are used by one turn at a time.
    """

    detector: VoiceDetector
    transcriber: Transcriber
    cues: Cues
    pauses: Pauses
    turn_model: TurnModel | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a call asks of the listening."""

    rules: TurnRules = TurnRules()
    by_hand: bool = False
    """Whether the user begins and ends the turn by a key, and no silence does."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a turn."""

    transcript: Transcript | None = None
    """None when nobody spoke, nobody was to be understood, or nobody could understand."""
    cue: Cue | None = None
    """What the words ask for."""
    spans: tuple[SpeechSpan, ...] = ()
    """Where in the recording somebody speaks."""
    speech_s: float = 0.0
    """Seconds from the first sound of the voice to the last; 0 when nobody spoke."""
    listen_s: float = 0.0
    """Seconds from the beginning to the decision that it is over."""
    recorded_s: float = 0.0
    """Seconds of it that are worth keeping: from the pre-roll on."""
    end_of_turn_ms: float | None = None
    """Milliseconds from the last word to that decision."""
    over_at: int = 0
    """The number of the frame on the tape up to which this turn was judged: another one begins there."""
    audio_path: Path | None = None
    problem: VoiceError | None = None
    """Why nobody could understand."""
    remarks: tuple[str, ...] = ()
    """What the user should know of the microphone, and of the recording."""

    @property
    def is_silence(self) -> bool:
        """Whether nobody spoke."""
        return self.speech_s == 0

    @property
    def has_words(self) -> bool:
        """Whether somebody said something, even if nobody could understand it."""
        return self.problem is not None or (self.transcript is not None and bool(self.transcript.text))

    @property
    def is_worth_recording(self) -> bool:
        """Whether there is anything to tell of."""
        return self.has_words or self.audio_path is not None


@dataclass(slots=True)
class _Stretch:
    """A stretch of speech, in frames on the tape."""

    start: int
    end: int | None = None
    """None while it goes on."""


class Listening:
    """One turn while it is taken. Runs in a task of its own; end it with ``result`` or ``stop``.

    What comes on the tape after it is kept for another turn, until somebody unmarks the tape.

    Args:
        ears: With what.
        microphone: From where.
        archive: Where records go.
        trail: Told what happens.
        start: The number of the frame on the tape from which on it is judged; it may lie in the past.
        wishes: How.
        tell: Told what is understood so far.
    """

    def __init__(
        self,
        ears: Ears,
        microphone: OpenMicrophone,
        archive: Archive,
        trail: Trail,
        *,
        start: int,
        wishes: Wishes,
        tell: Tell,
    ) -> None:
        self._ears = ears
        self._microphone = microphone
        self._archive = archive
        self._trail = trail
        tape = microphone.tape
        self._start = self._cursor = max(start, tape.first)
        self._tell = tell
        rules = wishes.rules
        if wishes.by_hand:
            rules = replace(rules, least_s=NEVER_S, no_speech_s=NEVER_S)
        else:
            past_s = LISTENING_FORMAT.seconds(max(0, tape.end - self._start))
            rules = replace(rules, no_speech_s=max(rules.no_speech_s, past_s + min(rules.no_speech_s / 2, GRACE_S)))
        self._wishes = replace(wishes, rules=rules)
        window_s = LISTENING_FORMAT.seconds(ears.detector.window_frames)
        self._endpointer = Endpointer(window_s, ears.pauses, rules)
        self._kept_from: int | None = None
        self._speech: list[_Stretch] = []
        self._recorder: Recorder | None = None
        self._following: Following | None = None
        self._guess: asyncio.Task[Transcript] | None = None
        self._judge: asyncio.Task[None] | None = None
        self._remarks: list[str] = []
        self._finished = asyncio.Event()
        self._through_s: float | None = None  # when the user said so by a key
        self._stopped = False
        tape.mark(self._start)
        ears.detector.reset()
        self._task = asyncio.create_task(self._listen(), name=f"listening {trail.utterance_id}")

    @property
    def has_speech(self) -> bool:
        """Whether somebody has begun to speak."""
        return self._kept_from is not None

    async def result(self) -> Heard:
        """Wait for the end. Cancelling the waiter stops nothing; ``stop`` does.

        Raises:
            MicrophoneUnavailable: It was lost before a word was heard.
        """
        return await asyncio.shield(self._task)

    def finish(self) -> None:
        """The user is through, and says so: what was said up to now counts, also where it has not come yet.

        Returns at once.
        """
        if self._through_s is None:
            self._through_s = self._archive.clock.now()
            asyncio.get_running_loop().call_later(KEY_LATE_S, self._finished.set)

    def stop(self) -> None:
        """Nobody wants the words any more, nor waits for those that are being looked for. Returns at once.

        ``ended`` waits until nothing but the record is left.
        """
        self._stopped = True
        self._finished.set()
        if self._guess is not None:
            self._guess.cancel()

    async def ended(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait([self._task])

    # --- the order of things -----------------------------------------------------------------------------------

    async def _listen(self) -> Heard:
        try:
            problem = await self._follow_to_the_end()
            return await self._conclude(problem)
        finally:
            self._microphone.tape.mark(self._over_at)
            await self._void_guesses()
            if self._following is not None:
                await self._following.aclose()

    async def _follow_to_the_end(self) -> VoiceError | None:
        """Follow the turn until it is over; why it had to be, if it had."""
        following = asyncio.create_task(self._follow(), name="following")
        finished = asyncio.create_task(self._finished.wait(), name="finished")
        try:
            await asyncio.wait([following, finished], return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        except Exception as exc:
            if not self.has_speech:
                raise
            return _as_problem(exc)
        finally:
            for task in (following, finished):
                task.cancel()
            await asyncio.wait([following, finished])
        return None

    async def _follow(self) -> None:
        while frames := await self._microphone.after(self._cursor):
            self._look_after_the_microphone()
            begin = self._cursor
            self._cursor += LISTENING_FORMAT.frames(len(frames))
            for taker in (self._recorder, self._following):
                if taker is not None:
                    taker.add(frames)
            # While the microphone was gone nobody was silent.
            judged = b"".join(self._microphone.tape.heard(begin, self._cursor))
            for probability in self._ears.detector.add(judged):
                self._take(self._endpointer.add(probability))
            if self._through_s is not None and self._cursor >= self._microphone.tape.frame_at(self._through_s):
                self._finished.set()

    def _look_after_the_microphone(self) -> None:
        """Say at once what keeps the user from being heard; each thing is said once."""
        condition = self._microphone.condition
        if condition.zeros_s >= DEAD_S and not self.has_speech:
            self._remark(dead(condition))
        elif condition.clipped_share >= CLIPPED_SHARE and self.has_speech:
            self._remark(CLIPPED)

    def _remark(self, text: str) -> None:
        if text not in self._remarks:
            self._remarks.append(text)
            self._tell(text)

    def _take(self, decision: Decision | None) -> None:
        if self._endpointer.is_over:
            self._finished.set()
        if isinstance(decision, SpeechStarted):
            self._begin(decision)
        elif isinstance(decision, SpeechPaused):
            self._fall_silent(decision.speech_end_s)
            self._trail.event(EventType.SPEECH_END, {"at_s": round(decision.speech_end_s, 3)})
            self._guess_ahead(decision)
        elif isinstance(decision, SpeechResumed):
            self._drop_guesses()
            resumed = self._later(self._end, decision.pause_s)
            self._speech.append(_Stretch(resumed))
            at_s = LISTENING_FORMAT.seconds(resumed - self._start)
            self._trail.event(EventType.SPEECH_START, {"at_s": round(at_s, 3), "pause_s": round(decision.pause_s, 3)})
        elif isinstance(decision, TurnEnded | TooLong):
            self._fall_silent(decision.speech_end_s)

    def _begin(self, started: SpeechStarted) -> None:
        start = self._frame(started.speech_s)
        self._speech.append(_Stretch(start))
        # The pre-roll may reach back beyond the beginning: the microphone was open before anybody listened.
        pre_roll = LISTENING_FORMAT.frames_in(self._wishes.rules.pre_roll_s)
        self._kept_from = max(self._microphone.tape.first, start - pre_roll)
        self._remarks.clear()  # they were about why nobody was heard
        self._trail.event(EventType.SPEECH_START, {"at_s": round(started.speech_s, 3)})
        self._tell(IS_HEARD)
        if self._archive.keeps_audio:
            self._record()
        if (following := self._ears.transcriber.follow(self._tell)) is not None:
            self._following = following
            following.add(self._microphone.tape.read(self._kept_from, self._cursor))

    def _fall_silent(self, at_s: float) -> None:
        if self._speech and self._speech[-1].end is None:
            self._speech[-1].end = self._frame(at_s)

    def _record(self) -> None:
        assert self._kept_from is not None
        self._recorder = Recorder(self._archive, self._trail.conversation_id)
        self._recorder.add(self._microphone.tape.read(self._kept_from, self._cursor))

    def _frame(self, at_s: float) -> int:
        return self._later(self._start, at_s)

    def _later(self, frame: int, heard_s: float) -> int:
        """The frame on the tape that comes so many seconds of judged sound after another."""
        return self._microphone.tape.after_heard(frame, LISTENING_FORMAT.frames_in(heard_s))

    # --- guesses -----------------------------------------------------------------------------------------------

    def _guess_ahead(self, paused: SpeechPaused) -> None:
        """This pause may be the end: find out."""
        if self._ears.turn_model is not None:
            self._judge = asyncio.create_task(self._ask_the_model(self._ears.turn_model, paused), name="turn-model")
        if self._following is not None:
            self._understand(paused, self._following.text)
        elif self._ears.transcriber.may_guess:
            self._guess = asyncio.create_task(self._transcribe(is_guess=True), name="guess")
            self._guess.add_done_callback(partial(self._look_at_guess, paused))

    async def _ask_the_model(self, model: TurnModel, paused: SpeechPaused) -> None:
        assert self._kept_from is not None
        turn = self._microphone.tape.read(self._kept_from, self._cursor)
        try:
            completeness = await asyncio.to_thread(model.completeness, turn)
        except VoiceError as exc:
            logger.warning("%s", exc.advice)  # silence decides alone, as it would without a model
            return
        self._take(self._endpointer.judge(paused, completeness))

    def _look_at_guess(self, paused: SpeechPaused, guess: asyncio.Task[Transcript]) -> None:
        if guess is not self._guess or guess.cancelled() or guess.exception() is not None:
            return
        heard = guess.result()
        self._tell(heard.text)
        self._understand(paused, heard.text, heard.language)

    def _understand(self, paused: SpeechPaused, text: str, language: str | None = None) -> None:
        """These are the words up to a pause, as far as is known."""
        self._take(self._endpointer.understand(paused, self._ears.cues.of(text, language)))

    def _drop_guesses(self) -> None:
        for task in (self._guess, self._judge):
            if task is not None:
                task.cancel()
        self._guess = self._judge = None

    async def _void_guesses(self) -> None:
        tasks = [task for task in (self._guess, self._judge) if task is not None]
        self._drop_guesses()
        if tasks:
            await asyncio.wait(tasks)

    async def _transcribe(self, *, is_guess: bool = False) -> Transcript:
        assert self._kept_from is not None
        start, end = self._kept_from, self._end + LISTENING_FORMAT.frames_in(AFTER_SPEECH_S)
        return await self._ears.transcriber.transcribe(
            self._microphone.tape.read(start, end),
            self._trail,
            spans=self._spans(start),
            following=self._following,
            is_guess=is_guess,
        )

    def _spans(self, start: int) -> list[SpeechSpan]:
        seconds = LISTENING_FORMAT.seconds
        return [
            SpeechSpan(seconds(each.start - start), seconds((each.end or self._end) - start)) for each in self._speech
        ]

    # --- the end -----------------------------------------------------------------------------------------------

    @property
    def _end(self) -> int:
        """The frame at which the voice ended, or has got to."""
        end = self._speech[-1].end if self._speech else None
        return self._cursor if end is None else end

    @property
    def _over_at(self) -> int:
        """The frame up to which it was judged: a decision falls in the middle of what arrives at once."""
        return self._frame(self._endpointer.captured_s)

    @property
    def _speech_s(self) -> float:
        return LISTENING_FORMAT.seconds(self._end - self._speech[0].start) if self._speech else 0.0

    async def _conclude(self, problem: VoiceError | None) -> Heard:
        """What was said, on record and in words."""
        listen_s = LISTENING_FORMAT.seconds(self._cursor - self._start)
        if self._kept_from is None:
            return Heard(listen_s=listen_s, over_at=self._over_at, remarks=tuple(self._remarks))
        delay_ms = (self._archive.clock.now() - self._microphone.tape.moment(self._end)) * 1000
        transcript: Transcript | None = None
        try:
            transcript = await self._words()
        except VoiceError as exc:
            problem = exc
        if problem is not None and transcript is not None and transcript.text:
            self._remarks.append(problem.message)  # it cut the turn short, and what was said before is known
            problem = None
        path = await self._keep(failed=problem is not None)
        return Heard(
            transcript=transcript,
            cue=self._ears.cues.of(transcript.text, transcript.language) if transcript is not None else None,
            spans=tuple(self._spans(self._kept_from)),
            speech_s=self._speech_s,
            listen_s=listen_s,
            recorded_s=LISTENING_FORMAT.seconds(self._cursor - self._kept_from),
            end_of_turn_ms=round(delay_ms, 1),
            over_at=self._over_at,
            audio_path=path,
            problem=problem,
            remarks=tuple(self._remarks),
        )

    async def _words(self) -> Transcript | None:
        """What was said; None when nobody wants to know any more.

        Raises:
            VoiceError: Nobody could tell.
        """
        if self._stopped:
            return None
        words = self._guess = self._guess or asyncio.create_task(self._transcribe(), name="words")
        if not words.done():
            self._tell(UNDERSTANDS)
        await asyncio.wait([words])
        if self._stopped:
            return None
        try:
            return words.result()
        except VoiceError:
            raise
        except Exception as exc:
            raise _as_problem(exc) from exc

    async def _keep(self, *, failed: bool) -> Path | None:
        """Complete the recording. Words that nobody has understood are kept in any case: they are nowhere else."""
        if self._recorder is None and failed:
            self._record()
        if self._recorder is None:
            return None
        try:
            return await self._recorder.close(is_last_resort=failed)
        except StorageError as exc:
            self._remarks.append(exc.message)
            return None


def dead(condition: CaptureCondition) -> str:
    """What is told of a microphone that gives nothing but zeros."""
    return DEAD_FILE if condition.is_file else DEAD_MICROPHONE


def _as_problem(exc: Exception) -> VoiceError:
    """Why somebody could not be understood; a mistake is no reason to lose what was said."""
    if isinstance(exc, VoiceError):
        return exc
    logger.error("listening failed unexpectedly", exc_info=exc)
    return EngineError(f"Listening failed unexpectedly ({type(exc).__name__}).")
