"""One utterance: a script goes in, words are heard, and what was heard comes back.

It runs in a task of its own, so that whoever asked for it can be cancelled at any moment while the sound is faded out,
the device let go, the floor handed on and the record completed in peace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voice_mcp.core.casting import Casting, Manner
from voice_mcp.core.ear import Ear
from voice_mcp.core.floor import Admission, Hold, NotSaid
from voice_mcp.core.metrics import FirstSound, Metrics
from voice_mcp.core.outlet import Outlet
from voice_mcp.core.rendering import Again, Begin, Rendering
from voice_mcp.core.script import Line, Script
from voice_mcp.core.utterance import Utterance
from voice_mcp.errors import SpeechCutOff, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import ProgressListener
from voice_mcp.types import PlaybackEvent, PlaybackEventType, SpeechStatus

if TYPE_CHECKING:
    from voice_mcp.core.speaking import Speaker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How an utterance ended."""

    status: SpeechStatus
    conversation_id: str
    utterance_id: str
    duration_s: float = 0.0
    """Seconds of audio that reached the device."""
    ttfa_ms: float | None = None
    """From the call to the first frame that could be heard; None when there was none."""
    underruns: int = 0
    voice: str | None = None
    engine: str | None = None
    heard: str | None = None
    """Only when interrupted."""
    unheard: str | None = None
    """Only when interrupted."""
    audio_path: Path | None = None
    note: str | None = None
    metrics: Metrics | None = None
    """What was measured; None when it has not been spoken."""


class Speech:
    """One utterance while it is spoken. Made by ``Speaker.start``."""

    def __init__(
        self,
        speaker: Speaker,
        script: Script,
        manner: Manner,
        utterance: Utterance,
        arrived_s: float,
        progress: ProgressListener,
        admission: Admission,
    ) -> None:
        self._speaker = speaker
        self._script = script
        self._manner = manner
        self._utterance = utterance
        self._arrived_s = arrived_s
        self._progress = progress
        self._admission = admission
        self._waited = False
        self.not_said: str | None = None
        """Why it was not said at all, as the end of a sentence, where nothing went wrong and nobody stopped it."""
        self._metrics = Metrics(FirstSound(arrived_s, ready_s=speaker.roster.clock.now()))
        self._rendering = Rendering(
            Casting(speaker.roster, manner),
            utterance,
            self._metrics,
            phrases=speaker.phrases,
            streaming=speaker.output.streaming,
            make_marker=speaker.output.make_marker,
        )
        self._outlet = Outlet(
            speaker.speakers,
            speaker.output,
            utterance,
            self._take_event,
            self._rendering.note,
            pan=speaker.seating.pan(utterance.conversation_id),
            tap=speaker.tap,
        )
        self._ear = Ear(script, speed=manner.speed)
        self._backend = ""
        self._begun = self._stopping = self._closing = self._over = self._keeps_floor = False
        self._turn_came = asyncio.Event()
        self.floor: Hold | None = None
        """What it has the floor under, or had it; None before its turn."""
        self._hold_limit: asyncio.TimerHandle | None = None  # while it is held
        self._held_s: float | None = None  # when it fell silent
        self._task = asyncio.create_task(self._speak(), name=f"speech {utterance.utterance_id}")
        self._task.add_done_callback(_log_mistakes)

    @property
    def utterance_id(self) -> str:
        """What the records call it."""
        return self._utterance.utterance_id or ""

    @property
    def conversation_id(self) -> str:
        """The conversation it belongs to."""
        return self._utterance.conversation_id

    @property
    def message(self) -> str:
        """What it says."""
        return self._script.undivided()

    @property
    def manner(self) -> Manner:
        """How."""
        return self._manner

    @property
    def asked_at(self) -> datetime:
        """When it was asked for, in UTC."""
        return self._utterance.began

    @property
    def spoke_at(self) -> datetime | None:
        """When its turn came, in UTC; None before that."""
        floor_s = self._metrics.first.floor_s
        return self._speaker.roster.clock.utc(floor_s) if floor_s is not None else None

    @property
    def failure(self) -> VoiceError | None:
        """Why it failed, once it has."""
        if not self._task.done() or self._task.cancelled():
            return None
        exc = self._task.exception()
        return exc if isinstance(exc, VoiceError) else None

    async def result(self) -> Spoken:
        """Wait for the end. Cancelling the waiter stops nothing; ``stop`` does.

        Raises:
            VoiceError: It could not be said; ``SpeechCutOff`` when part of it was heard.
        """
        return await asyncio.shield(self._task)

    async def ended(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait([self._task])

    async def turn_came(self) -> bool:
        """Wait until it has the floor, which may never be: whoever waits looks at ``ended`` too."""
        return await self._turn_came.wait()

    def on_end(self, callback: Callable[[Speech], None]) -> None:
        """Call ``callback`` when it has ended."""
        self._task.add_done_callback(lambda _: callback(self))

    @property
    def is_held(self) -> bool:
        """Whether it is silent until somebody says ``go_on``."""
        return self._hold_limit is not None

    def hold(self) -> None:
        """Silence, now, and until ``go_on``. Returns at once; it keeps the floor, and ``result`` waits.

        The sound fades out within 50 ms. After ``longest_hold_s`` the utterance ends as if it had been stopped.
        """
        if self._stopping or self._closing or self._task.done() or self.is_held:
            return
        loop = asyncio.get_running_loop()
        self._hold_limit = loop.call_later(self._speaker.longest_hold_s, self.stop)
        self._outlet.hold()

    def go_on(self) -> None:
        """No longer held: go on with the first word that was not wholly heard. Returns at once."""
        if self.is_held:
            self._end_hold()
            self._outlet.go_on(self._frame_of_word)

    def _end_hold(self) -> None:
        if self._hold_limit is not None:
            self._hold_limit.cancel()
            self._hold_limit = None

    def stop(self, note: str | None = None, *, keeps_floor: bool = False) -> None:
        """Silence, now. Returns at once; ``result`` tells what was heard.

        Args:
            note: What the agent should know of why.
            keeps_floor: Whether what follows belongs to it as to a question that was heard out: it is stopped because
                the user answers.
        """
        if self._stopping or self._task.done():
            return
        self._stopping, self._keeps_floor = True, keeps_floor
        if note is not None:
            self._rendering.note(note)
        self._end_hold()
        self._outlet.stop()
        # A task that is cancelled before its first step would leave no record, and one that completes it half of one.
        if self._begun and not self._closing:
            self._task.cancel()

    # --- the order of things -----------------------------------------------------------------------------------

    async def _speak(self) -> Spoken:
        self._begun = True
        failure: VoiceError | None = None
        try:
            if not self._stopping:
                floor = self._speaker.floor
                async with floor.turn(self._say_waiting, self.conversation_id, self._admission) as hold:
                    self.floor = hold
                    failure = await self._hold_the_floor()
                    if failure is not None or (self._stopping and not self._keeps_floor):
                        hold.lingers = False  # nobody was asked anything
        except NotSaid as exc:
            self.not_said = exc.why
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:  # the next one already speaks: a recording may have to wait for another process
            await self._utterance.close_audio(anything_played=self._ear.played_s > 0)
        return await self._conclude(failure)

    async def _hold_the_floor(self) -> VoiceError | None:
        self._speaker.current = self._speaker.latest = self
        self._turn_came.set()
        first = self._metrics.first
        first.floor_s = self._speaker.roster.clock.now()
        waited_s = first.floor_s - (first.ready_s or first.floor_s)
        urgency = self._admission.urgency.value
        self._utterance.event(EventType.FLOOR_ACQUIRED, {"urgency": urgency, "waited_s": round(waited_s, 4)})
        try:
            return await self._perform()
        finally:
            self._over = True
            self._speaker.current = None
            held_s = self._speaker.roster.clock.now() - first.floor_s
            self._utterance.event(EventType.FLOOR_RELEASED, {"held_s": round(held_s, 4)})

    async def _perform(self) -> VoiceError | None:
        """Say it all; afterwards it is silent, and what was heard is known. Returns what went wrong."""
        utterance = self._utterance
        utterance.event(EventType.TTS_START, {"chars": self._script.remaining_chars, "voice": self._manner.voice})
        failure: VoiceError | None = None
        try:
            try:
                await self._deliver()
            except VoiceError as exc:
                failure = exc
                utterance.event(EventType.TTS_ERROR, {"code": exc.code, "message": exc.message, "fatal": True})
                with contextlib.suppress(VoiceError):
                    await self._outlet.play_out()  # what did arrive is good and will be heard
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._closing = True
            self._end_hold()
            await self._outlet.fall_silent()
            utterance.event(EventType.TTS_PLAYBACK_END, self._ending())
        return failure

    def _ending(self) -> dict[str, object]:
        return {
            "duration_s": round(self._ear.played_s, 3),
            "interrupted": self._stopping,
            "engine": self._rendering.spoken_by.engine,
            "voice": self._rendering.spoken_by.voice,
            "output": self._backend or None,
            **self._metrics.as_data(),
        }

    async def _deliver(self) -> None:
        prebuffer_s = self._rendering.prebuffer_s(self._speaker.output.prebuffer_most_s)
        await self._outlet.prepare(self._rendering.expected_format(), prebuffer_s)
        rendering, discretion = self._rendering, self._speaker.discretion
        rendering.instructions_beyond = await discretion.veiled(self._manner.instructions)
        while (line := await self._next_line()) is not None:
            hidden = await discretion.hidden(self._script, line)
            async with aclosing(rendering.render(line.text, hidden)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Begin):
                        await self._begin_stretch(line, piece)
                    elif isinstance(piece, Again):
                        self._outlet.renew()
                    else:
                        await self._outlet.send(piece)
            await self._end_stretch()
        await self._outlet.play_out()

    async def _next_line(self) -> Line | None:
        if self._script.is_waiting:
            self._outlet.rest()  # the text is late, not the sound
        return await self._script.next_line()

    async def _begin_stretch(self, line: Line, begin: Begin) -> None:
        await self._end_stretch()
        await self._outlet.begin(begin.format)
        await self._speaker.floor.until_quiet()
        self._ear.begin(line, begin, self._outlet.sent_s)

    async def _end_stretch(self) -> None:
        """The newest run of audio is complete."""
        if self._ear.is_run_open:
            await self._outlet.end_run()
            self._ear.end(self._outlet.sent_s)

    # --- what the audio process says ---------------------------------------------------------------------------

    def _take_event(self, event: PlaybackEvent) -> None:
        if self._over:
            return
        kind, data = event.type, {"at_s": round(event.heard_at_s - self._arrived_s, 4)}
        if kind is PlaybackEventType.OPENED:
            self._backend = event.backend
        elif kind is PlaybackEventType.STARTED:
            self._take_first_sound(event, data)
        elif kind is PlaybackEventType.FIRST_AUDIO:
            self._utterance.event(EventType.TTS_FIRST_AUDIO, data, at_s=event.left_at_s)
        elif kind is PlaybackEventType.UNDERRUN:
            self._metrics.underruns += 1
            self._utterance.event(EventType.TTS_UNDERRUN, {**data, "gap_s": event.gap_s}, at_s=event.left_at_s)
        elif kind is PlaybackEventType.RESUMED:
            self._utterance.event(EventType.TTS_RESUMED, {**data, "gap_s": event.gap_s}, at_s=event.left_at_s)
        elif kind is PlaybackEventType.LOST:
            self._utterance.event(EventType.DEVICE_LOST, {"message": event.message})
        elif kind is PlaybackEventType.MOVED:
            self._take_move(event)
        elif kind is PlaybackEventType.ENDED:
            self._metrics.inserted_s = event.inserted_s
            self._metrics.buffer_mean_s, self._metrics.buffer_least_s = event.buffer_mean_s, event.buffer_least_s
        self._take_position(event)

    def _take_first_sound(self, event: PlaybackEvent, data: dict[str, float]) -> None:
        first = self._metrics.first
        if first.heard_s is None:
            first.left_s, first.heard_s = event.left_at_s, event.heard_at_s
            self._utterance.event(EventType.TTS_PLAYBACK_START, data, at_s=event.left_at_s)
            self._show_progress()

    def _take_move(self, event: PlaybackEvent) -> None:
        self._backend = event.backend
        self._metrics.device_changes += 1
        self._utterance.event(EventType.DEVICE_CHANGED, {"output": event.backend, "gap_s": round(event.gap_s, 3)})
        self._rendering.note(f"The sound device was gone for {event.gap_s:.1f} s; nothing was left out.")

    def _take_position(self, event: PlaybackEvent) -> None:
        kind = event.type
        if kind in (PlaybackEventType.OPENED, PlaybackEventType.MOVED):
            return
        if kind is PlaybackEventType.WENT_ON:
            self._go_back(event)
            return
        is_silent = kind in (PlaybackEventType.ENDED, PlaybackEventType.HELD)
        self._ear.reach(self._outlet.seconds(event.heard_frames if is_silent else event.frames))
        self._utterance.played(event.frames)
        if kind is PlaybackEventType.POSITION:
            self._show_progress()
        elif kind is PlaybackEventType.HELD:
            self._held_s = self._speaker.roster.clock.now()
            self._utterance.event(EventType.TTS_HELD, {"position_s": round(self._ear.heard_s, 3)})

    def _go_back(self, event: PlaybackEvent) -> None:
        """It is no longer held: what follows was partly heard before."""
        now_s = self._speaker.roster.clock.now()
        self._ear.go_back(self._outlet.seconds(event.frames))
        self._utterance.went_back(event.frames)
        silent_s = now_s - self._held_s if self._held_s is not None else 0.0
        data = {"position_s": round(self._ear.heard_s, 3), "silent_s": round(silent_s, 3)}
        self._utterance.event(EventType.TTS_WENT_ON, data)

    def _frame_of_word(self, heard_frames: int) -> int | None:
        """With which frame the first word begins that was not wholly heard; a ``WordBegan``."""
        began_s = self._ear.word_began_s(self._outlet.seconds(heard_frames))
        return self._outlet.frames(began_s) if began_s is not None else None

    def _show_progress(self) -> None:
        if (progress := self._ear.progress()) is not None:
            self._progress(*progress)

    def _say_waiting(self, in_front: int) -> None:
        if not self._waited:
            self._waited = True
            urgency = self._admission.urgency.value
            self._utterance.event(EventType.FLOOR_WAIT, {"in_front": in_front, "urgency": urgency})
        self._progress(0.0, None, f"waiting for {in_front} other{'s' if in_front > 1 else ''} to finish")

    # --- the end -----------------------------------------------------------------------------------------------

    async def _conclude(self, failure: VoiceError | None) -> Spoken:
        """Put the utterance on record and say how it ended.

        Raises:
            VoiceError: It failed.
        """
        cut_short = failure is not None or self._stopping or self.not_said is not None
        heard, unheard = self._ear.divide() if cut_short else (None, None)
        spoken = self._spoken(heard, unheard)
        self._put_on_record(spoken, failure)
        unsaid = [f"The message was not said: {self.not_said}."] if self.not_said is not None else []
        notes = [*unsaid, *self._rendering.notes, *await self._utterance.problems()]
        if failure is None:
            return replace(spoken, note=" ".join(notes) or None)
        if spoken.duration_s > 0:
            raise SpeechCutOff(failure, heard=heard or "", unheard=unheard or "") from failure
        raise failure

    def _put_on_record(self, spoken: Spoken, failure: VoiceError | None) -> None:
        metadata = {
            "status": "failed" if failure is not None else spoken.status.value,
            "engine": spoken.engine,
            "model": self._rendering.spoken_by.model,
            "voice": spoken.voice,
            "ttfa_ms": spoken.ttfa_ms,
            "underruns": spoken.underruns,
            "decode_errors": self._metrics.decode_errors,
            "speed": self._manner.speed,
            "output": self._backend or None,
            **self._outlet.shape(),
        }
        if spoken.heard is not None:
            metadata |= {"heard": spoken.heard, "unheard": spoken.unheard}
        if failure is not None:
            metadata["error"] = failure.message
        if self.not_said is not None:
            metadata["not_said"] = self.not_said
        self._utterance.record(self._script.undivided(), spoken.duration_s, metadata)

    def _spoken(self, heard: str | None, unheard: str | None) -> Spoken:
        saved = self._backend == "file"
        status = SpeechStatus.SAVED if saved else SpeechStatus.COMPLETED
        return Spoken(
            status=SpeechStatus.INTERRUPTED if self._stopping or self.not_said is not None else status,
            conversation_id=self._utterance.conversation_id,
            utterance_id=self.utterance_id,
            duration_s=round(self._ear.played_s, 3),
            ttfa_ms=self._metrics.first.total_ms,
            underruns=self._metrics.underruns,
            voice=self._rendering.spoken_by.voice,
            engine=self._rendering.spoken_by.engine,
            heard=heard,
            unheard=unheard,
            audio_path=self._utterance.audio_path,
            metrics=self._metrics,
        )


def _log_mistakes(task: asyncio.Task[Spoken]) -> None:
    """A failure is somebody's to report; a mistake of ours must at least be in the log."""
    if not task.cancelled() and (exc := task.exception()) is not None and not isinstance(exc, VoiceError):
        logger.error("speaking failed unexpectedly", exc_info=exc)
