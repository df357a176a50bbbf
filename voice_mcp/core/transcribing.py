"""Transcribing: what was heard goes in, words come out, from whichever recogniser can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from voice_mcp.core.failover import Roster, failure_data
from voice_mcp.core.following import Following
from voice_mcp.core.trimming import Excerpt, excerpt
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import (
    AllRecognizersFailed,
    CodecError,
    EngineError,
    EngineMissing,
    EngineStalled,
    EngineUnreachable,
    ListeningUnavailable,
    VoiceError,
)
from voice_mcp.events import EventType
from voice_mcp.protocols import SpeechRecognizer, StreamingRecognizer
from voice_mcp.types import RecognitionHints, SpeechSpan, Transcript

logger = logging.getLogger(__name__)

FRESH_S = 60.0
"""So long after somebody could listen it is taken for granted that somebody can."""
NOBODY_HINT = (
    'Run `pip install "voice-mcp[whisper]"` and `voice-mcp models install base` to listen on this machine, '
    "or set OPENAI_API_KEY, or start a transcription server."
)


class Transcriber:
    """Asks the recognisers, in their order, what was said.

    Args:
        roster: Who can listen.
        hints: What helps them.
        nobody_hint: What to do where there is nobody.
    """

    def __init__(
        self, roster: Roster[SpeechRecognizer], hints: RecognitionHints, nobody_hint: str = NOBODY_HINT
    ) -> None:
        self.roster = roster
        self.hints = hints
        self._nobody_hint = nobody_hint
        self._worked_s: float | None = None

    @property
    def may_guess(self) -> bool:
        """Whether a turn may be transcribed before it is over, for nothing if it is not: not where that costs money."""
        candidates = self.roster.candidates()
        return bool(candidates) and not candidates[0].leaves_machine

    def check(self) -> None:
        """See that there is somebody to ask.

        Raises:
            ListeningUnavailable: There is not.
        """
        if not self.roster.engines:
            raise ListeningUnavailable("There is nobody who could turn speech into words.", hint=self._nobody_hint)

    def follow(self, tell: Callable[[str], None]) -> Following | None:
        """Have a turn understood while it is spoken, if the first in line can do that.

        Args:
            tell: Told what has been understood so far.
        """
        first = next(iter(self.roster.candidates()), None)
        return Following(first, self.hints, tell) if isinstance(first, StreamingRecognizer) else None

    async def see_if_anybody_listens(self) -> None:
        """See that there is somebody who could turn speech into words, as far as that can be seen without any.

        Raises:
            ListeningUnavailable: There is not.
        """
        self.check()
        now_s = self.roster.clock.now()
        if self._worked_s is not None and now_s - self._worked_s < FRESH_S:
            return
        problems: list[VoiceError] = []
        for recognizer in self.roster.candidates():
            try:
                await recognizer.check()
            except EngineError as exc:
                self.roster.failed(recognizer, exc)
                problems.append(exc)
            else:
                self._worked_s = now_s
                return
        reasons = " ".join(dict.fromkeys(problem.message for problem in problems))
        missing = [problem.hint for problem in problems if isinstance(problem, EngineMissing)]
        hint = missing[0] if len(missing) == len(problems) else self._nobody_hint
        raise ListeningUnavailable(f"There is nobody who could turn speech into words: {reasons}", hint=hint)

    async def transcribe(
        self,
        frames: bytes,
        trail: Trail,
        *,
        spans: Sequence[SpeechSpan] | None = None,
        following: Following | None = None,
        is_guess: bool = False,
    ) -> Transcript:
        """What is said in a recording. Cancelling it stops it.

        Args:
            frames: The recording, ``LISTENING_FORMAT``.
            trail: Told what happens.
            spans: Where in the recording somebody speaks, in order: silence around it is cut off, and where there is
                no speech nobody is asked. None when nobody looked: all of it counts as speech.
            following: Who has understood it already, while it was spoken; asked first.
            is_guess: Whether it is asked for in a pause that may not be the end.

        Returns:
            A transcript whose text is empty when nothing was said; ``engine`` is empty when nobody was asked.

        Raises:
            ListeningUnavailable: There is nobody to ask.
            EngineError: Nobody could tell.
            CodecError: The only one there is cannot be sent this recording.
        """
        self.check()
        sound = excerpt(frames, spans)
        guess = {"guess": True} if is_guess else {}
        start = {"sound_s": round(sound.sound_s, 3), "speech_s": round(sound.speech_s, 3)}
        trail.event(EventType.STT_START, start | guess)
        if not sound.is_speech:
            trail.event(EventType.STT_NO_SPEECH, {"asked": False} | guess)
            return Transcript("", "")
        began_s = self.roster.clock.now()
        try:
            transcript = await following.finish() if following is not None else None
            if transcript is None:
                transcript = await self._asked(sound, trail)
        except asyncio.CancelledError:
            end = {"code": "cancelled", "message": "It was cancelled.", "fatal": True}
            trail.event(EventType.STT_ERROR, end | guess)
            raise
        except VoiceError as exc:
            trail.event(EventType.STT_ERROR, {"code": exc.code, "message": exc.message, "fatal": True} | guess)
            raise
        return self._told(sound, transcript, trail, began_s)

    async def _asked(self, sound: Excerpt, trail: Trail) -> Transcript:
        problems: list[VoiceError] = []
        recognizers = self.roster.candidates()
        for number, recognizer in enumerate(recognizers, start=1):
            try:
                transcript = await self._with_patience(recognizer, sound, trail)
            except (EngineError, CodecError) as exc:
                if isinstance(exc, EngineError):  # a recording that cannot be sent is no fault of who was to get it
                    self.roster.failed(recognizer, exc)
                problems.append(exc)
                for successor in recognizers[number : number + 1]:
                    trail.event(
                        EventType.PROVIDER_SWITCH,
                        {"from": recognizer.name, "to": successor.name, "reason": exc.code, "message": exc.message},
                    )
            else:
                self.roster.worked(recognizer)
                self._worked_s = self.roster.clock.now()
                return replace(transcript, note=_note(problems, recognizer))
        if len(problems) == 1:
            raise problems[0]
        raise AllRecognizersFailed(" ".join(dict.fromkeys(problem.message for problem in problems)))

    async def _with_patience(self, recognizer: SpeechRecognizer, sound: Excerpt, trail: Trail) -> Transcript:
        """Ask one of them, and once more if the connection broke: what was said is still at hand."""
        try:
            return await self._once(recognizer, sound, trail)
        except EngineUnreachable as exc:
            if not exc.hung_up:
                raise
        except EngineStalled as exc:
            if not exc.broke_off:
                raise
        return await self._once(recognizer, sound, trail)

    async def _once(self, recognizer: SpeechRecognizer, sound: Excerpt, trail: Trail) -> Transcript:
        if recognizer.is_remote:
            trail.event(EventType.STT_REQUEST, {"host": recognizer.name, "seconds": round(sound.sound_s, 3)})
        try:
            return await self._answer(recognizer, sound)
        except (EngineError, CodecError) as exc:
            trail.event(EventType.STT_ERROR, failure_data(recognizer, exc))
            raise

    async def _answer(self, recognizer: SpeechRecognizer, sound: Excerpt) -> Transcript:
        """What one of them says; a mistake in it is a failure like any other, after which the next one is asked."""
        try:
            return await recognizer.transcribe(sound.frames, self.hints)
        except VoiceError:
            raise
        except Exception as exc:
            logger.exception("%s failed unexpectedly", recognizer.name)
            raise EngineError(f"{recognizer.name} failed unexpectedly ({type(exc).__name__}).") from exc

    def _told(self, sound: Excerpt, transcript: Transcript, trail: Trail, began_s: float) -> Transcript:
        text = sound.words(transcript)
        data: dict[str, Any] = {
            "engine": transcript.engine,
            "model": transcript.model,
            "took_ms": round((self.roster.clock.now() - began_s) * 1000, 1),
        }
        if transcript.sent_bytes:
            data |= {"host": transcript.engine, "bytes": transcript.sent_bytes}
        if text:
            trail.event(EventType.STT_COMPLETE, data | {"language": transcript.language, "chars": len(text)})
        else:
            trail.event(EventType.STT_NO_SPEECH, data | {"asked": True})
        return replace(transcript, text=text)


def _note(problems: Sequence[VoiceError], recognizer: SpeechRecognizer) -> str:
    """What the user should know of those who were asked in vain."""
    if not problems:
        return ""
    return " ".join((*dict.fromkeys(problem.message for problem in problems), f"{recognizer.name} listened instead."))
