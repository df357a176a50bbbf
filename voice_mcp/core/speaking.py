"""Speaking: a script goes in, words are heard, and what was heard comes back.

Each utterance runs in a task of its own, so that whoever asked for it can be cancelled at any moment while the sound is
faded out, the device let go, the floor handed on and the record completed in peace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from voice_mcp.core.failover import Roster
from voice_mcp.core.floor import Floor
from voice_mcp.core.rendering import Begin, Manner, Rendering
from voice_mcp.core.script import Line, Script
from voice_mcp.core.timeline import Run, expected_seconds, spoken_chars
from voice_mcp.core.utterance import Archive, Utterance
from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, SpeechCutOff, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import Playback, ProgressListener, Speakers
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType, SpeechStatus

logger = logging.getLogger(__name__)

SILENCE_S = 1.0
"""How long a stop may take to be confirmed by the audio process before the record is closed without it."""


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """Where sound may go."""

    device: bool = True
    """A sound device is wanted."""
    file: bool = True
    """A file will do where there is no device."""


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


@dataclass(slots=True)
class _Heard:
    """What the audio process has reported so far, over all runs of frames."""

    first_heard_at_s: float | None = None
    before_s: float = 0.0
    """Seconds played by earlier runs."""
    current_s: float = 0.0
    """Seconds played by this one."""
    underruns: int = 0
    backend: str = ""

    @property
    def total_s(self) -> float:
        return self.before_s + self.current_s


class Speaker:
    """Everything that is said goes through here, one utterance after another.

    Args:
        roster: Who can speak.
        speakers: Where sound goes.
        archive: Where records go.
        output: A device, a file, or whichever there is.
    """

    def __init__(self, roster: Roster, speakers: Speakers, archive: Archive, output: OutputChoice) -> None:
        self.roster = roster
        self.speakers = speakers
        self.archive = archive
        self.output = output
        self.floor = Floor()
        self._running: set[Speech] = set()
        self._unreported: list[str] = []

    def start(
        self, script: Script, manner: Manner, conversation_id: str, arrived_s: float, progress: ProgressListener
    ) -> Speech:
        """Begin to say something, as soon as the floor is free.

        Args:
            script: What.
            manner: How.
            conversation_id: Whose.
            arrived_s: When it was asked for, on the clock of ``Clock.now``.
            progress: Told where the voice is.
        """
        speech = Speech(self, script, manner, Utterance(self.archive, conversation_id), arrived_s, progress)
        self._running.add(speech)
        speech.on_end(self._running.discard)
        return speech

    def report_later(self, speech: Speech) -> None:
        """Nobody waits for this one: if it fails, the next result says so."""
        speech.on_end(self._remember_failure)

    def unreported(self) -> list[str]:
        """What went wrong with what nobody waited for; each is told once."""
        told, self._unreported = self._unreported, []
        return told

    async def aclose(self, timeout_s: float) -> None:
        """Stop everything; return when it is silent and on record, after ``timeout_s`` seconds at the latest."""
        for speech in tuple(self._running):
            speech.stop()
        endings = [asyncio.ensure_future(speech.ended()) for speech in self._running]
        if endings:
            await asyncio.wait(endings, timeout=timeout_s)

    def _remember_failure(self, speech: Speech) -> None:
        if speech.failure is not None:
            self._unreported.append(f"An earlier queued message was not spoken in full: {speech.failure.message}")


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
    ) -> None:
        self._speaker = speaker
        self._script = script
        self._manner = manner
        self._utterance = utterance
        self._arrived_s = arrived_s
        self._progress = progress
        self._rendering = Rendering(speaker.roster, manner, utterance)
        self._playback: Playback | None = None
        self._sent_frames = 0
        self._runs: list[tuple[Line, int, Run]] = []
        self._shown = 0
        self._heard = _Heard()
        self._last: Begin | None = None
        self._stopping = False
        self._task = asyncio.create_task(self._speak(), name=f"speech {utterance.utterance_id}")
        self._task.add_done_callback(_log_mistakes)

    @property
    def utterance_id(self) -> str:
        """What the records call it."""
        return self._utterance.utterance_id or ""

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

    def on_end(self, callback: Callable[[Speech], None]) -> None:
        """Call ``callback`` when it has ended."""
        self._task.add_done_callback(lambda _: callback(self))

    def stop(self) -> None:
        """Silence, now. Returns at once; ``result`` tells what was heard."""
        if not self._stopping and not self._task.done():
            self._stopping = True
            if self._playback is not None:
                self._playback.stop()
            self._task.cancel()

    # --- the order of things -----------------------------------------------------------------------------------

    async def _speak(self) -> Spoken:
        utterance = self._utterance
        failure: VoiceError | None = None
        try:
            async with self._speaker.floor.turn(self._say_waiting):
                utterance.event(EventType.FLOOR_ACQUIRED)
                try:
                    failure = await self._perform()
                finally:
                    utterance.event(EventType.FLOOR_RELEASED)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        return self._conclude(failure)

    async def _perform(self) -> VoiceError | None:
        """Say it all; afterwards it is silent, and what was heard is known. Returns what went wrong."""
        utterance = self._utterance
        utterance.event(EventType.TTS_START, {"chars": self._script.remaining_chars, "voice": self._manner.voice})
        failure: VoiceError | None = None
        try:
            await self._deliver()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except VoiceError as exc:
            failure = exc
            utterance.event(EventType.TTS_ERROR, {"code": exc.code, "message": exc.message, "fatal": True})
        finally:
            await self._fall_silent(play_the_rest=failure is not None)
            utterance.end_track()
            utterance.event(EventType.TTS_PLAYBACK_END, self._ending())
        return failure

    def _ending(self) -> dict[str, object]:
        return {
            "duration_s": round(self._heard.total_s, 3),
            "underruns": self._heard.underruns,
            "interrupted": self._stopping,
        }

    async def _deliver(self) -> None:
        if self._speaker.output.device:
            await self._open(self._rendering.expected_format())
        while (line := await self._next_line()) is not None:
            async with aclosing(self._rendering.render(line.text)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Begin):
                        await self._begin_run(line, piece)
                    else:
                        await self._send(piece)
            self._end_run()
        await self._play_out()

    async def _next_line(self) -> Line | None:
        if self._playback is not None and self._script.is_waiting:
            self._playback.rest()  # the text is late, not the sound
        return await self._script.next_line()

    async def _fall_silent(self, *, play_the_rest: bool) -> None:
        """Return when it is silent and what was heard is known; at once when everything was played."""
        playback = self._playback
        if playback is None:
            return
        if play_the_rest and not self._stopping:
            playback.finish()  # what did arrive is good and will be heard
        else:
            playback.stop()
        with contextlib.suppress(VoiceError, TimeoutError):
            async with asyncio.timeout(None if play_the_rest else SILENCE_S):
                await playback.wait()

    # --- frames ------------------------------------------------------------------------------------------------

    async def _open(self, fmt: PcmFormat) -> None:
        """Have a device opened for ``fmt``, while the first request is on its way."""
        output = self._speaker.output
        path = None if output.device else await self._utterance.reserve_file()
        self._playback = await self._speaker.speakers.begin(fmt, self._take_event, path=path)
        self._sent_frames = 0

    async def _begin_run(self, line: Line, begin: Begin) -> None:
        if self._playback is None or self._playback.format != begin.format:
            await self._change_format(begin.format)
        if self._sent_frames == 0:
            await self._see_device_open(begin.format)
        assert self._playback is not None
        self._last = begin
        start_s = self._heard.before_s + begin.format.seconds(self._sent_frames)
        self._end_run()
        self._runs.append((line, begin.start, Run(line.text[begin.start :], start_s, begin.marks)))

    async def _change_format(self, fmt: PcmFormat) -> None:
        """Let what was sent be heard, then go on in another format."""
        if self._sent_frames:
            await self._play_out()
            self._heard.before_s, self._heard.current_s = self._heard.total_s, 0.0
            self._utterance.end_track()
        await self._open(fmt)

    async def _see_device_open(self, fmt: PcmFormat) -> None:
        """Wait for the device; without one, write a file if that will do.

        A sound library that takes the audio process down with it while opening is no device either.
        """
        assert self._playback is not None
        try:
            await self._playback.opened()
        except (DeviceUnavailable, AudioProcessLost) as exc:
            if not self._speaker.output.file:
                raise
            path = await self._utterance.reserve_file()
            if path is None:
                raise
            self._rendering.notes.append(f"{exc.message} The speech was saved to a file instead.")
            self._playback = await self._speaker.speakers.begin(fmt, self._take_event, path=path)
            await self._playback.opened()
        if self._utterance.keeps_audio and self._heard.backend != "file":
            await self._utterance.start_track(fmt)

    async def _send(self, frames: bytes) -> None:
        assert self._playback is not None
        self._utterance.sent(frames)
        await self._playback.write(frames)
        self._sent_frames += self._playback.format.frames(len(frames))

    def _end_run(self) -> None:
        """The newest run of audio is complete."""
        if self._runs and self._playback is not None:
            run = self._runs[-1][2]
            if run.end_s is None:
                run.end_s = self._heard.before_s + self._playback.format.seconds(self._sent_frames)

    async def _play_out(self) -> None:
        if self._playback is not None:
            self._playback.finish()
            await self._playback.wait()

    # --- what the audio process says ---------------------------------------------------------------------------

    def _take_event(self, event: PlaybackEvent) -> None:
        kind, data = event.type, {"at_s": round(event.heard_at_s - self._arrived_s, 4)}
        if kind is PlaybackEventType.OPENED:
            self._heard.backend = event.backend
        elif kind is PlaybackEventType.STARTED and self._heard.first_heard_at_s is None:
            self._heard.first_heard_at_s = event.heard_at_s
            self._utterance.event(EventType.TTS_PLAYBACK_START, data, at_s=event.left_at_s)
            self._show_progress()
        elif kind is PlaybackEventType.FIRST_AUDIO and not self._heard.before_s:
            self._utterance.event(EventType.TTS_FIRST_AUDIO, data, at_s=event.left_at_s)
        elif kind is PlaybackEventType.UNDERRUN:
            self._heard.underruns += 1
            self._utterance.event(EventType.TTS_UNDERRUN, {**data, "gap_s": event.gap_s}, at_s=event.left_at_s)
        elif kind is PlaybackEventType.RESUMED:
            self._utterance.event(EventType.TTS_RESUMED, {**data, "gap_s": event.gap_s}, at_s=event.left_at_s)
        elif kind is PlaybackEventType.LOST:
            self._utterance.event(EventType.DEVICE_LOST, {"message": event.message})
        self._take_position(event)

    def _take_position(self, event: PlaybackEvent) -> None:
        if self._playback is None or event.type is PlaybackEventType.OPENED:
            return
        ended = event.type is PlaybackEventType.ENDED
        frames = event.heard_frames if ended else event.frames
        self._heard.current_s = self._playback.format.seconds(frames)
        self._utterance.played(event.frames)
        if event.type is PlaybackEventType.POSITION:
            self._show_progress()

    def _show_progress(self) -> None:
        """Tell where the voice is: the newest run that has begun to be heard."""
        played_s = self._heard.total_s
        while self._shown + 1 < len(self._runs) and self._runs[self._shown + 1][2].start_s <= played_s:
            self._shown += 1
        if self._runs:
            speed = self._manner.speed
            newest = self._runs[-1][2]
            arriving_s = newest.start_s + expected_seconds(newest.text, speed=speed)
            known_s = newest.end_s if newest.end_s is not None else max(arriving_s, played_s)
            total_s = known_s + expected_seconds(" " * self._script.remaining_chars, speed=speed)
            self._progress(played_s, total_s, self._runs[self._shown][0].text)

    def _say_waiting(self, in_front: int) -> None:
        self._utterance.event(EventType.FLOOR_WAIT, {"in_front": in_front})
        self._progress(0.0, None, f"waiting for {in_front} other{'s' if in_front > 1 else ''} to finish")

    # --- the end -----------------------------------------------------------------------------------------------

    def _conclude(self, failure: VoiceError | None) -> Spoken:
        """Put the utterance on record and say how it ended.

        Raises:
            VoiceError: It failed.
        """
        cut_short = failure is not None or self._stopping
        heard, unheard = self._divide() if cut_short else (None, None)
        spoken = self._spoken(heard, unheard)
        metadata = {
            "status": "failed" if failure is not None else spoken.status.value,
            "engine": spoken.engine,
            "model": self._last.model if self._last is not None else None,
            "voice": spoken.voice,
            "ttfa_ms": spoken.ttfa_ms,
            "underruns": spoken.underruns,
            "speed": self._manner.speed,
            "output": self._heard.backend or None,
        }
        if cut_short:
            metadata |= {"heard": heard, "unheard": unheard}
        if failure is not None:
            metadata["error"] = failure.message
        self._utterance.record(self._script.undivided(), spoken.duration_s, metadata)
        if failure is None:
            return spoken
        if spoken.duration_s > 0:
            raise SpeechCutOff(failure, heard=heard or "", unheard=unheard or "") from failure
        raise failure

    def _spoken(self, heard: str | None, unheard: str | None) -> Spoken:
        first_s = self._heard.first_heard_at_s
        saved = self._heard.backend == "file"
        notes = [*self._rendering.notes, *self._utterance.problems()]
        status = SpeechStatus.SAVED if saved else SpeechStatus.COMPLETED
        return Spoken(
            status=SpeechStatus.INTERRUPTED if self._stopping else status,
            conversation_id=self._utterance.conversation_id,
            utterance_id=self.utterance_id,
            duration_s=round(self._heard.total_s, 3),
            ttfa_ms=round((first_s - self._arrived_s) * 1000, 1) if first_s is not None else None,
            underruns=self._heard.underruns,
            voice=self._last.voice if self._last is not None else None,
            engine=self._last.engine if self._last is not None else None,
            heard=heard,
            unheard=unheard,
            audio_path=self._utterance.audio_path,
            note=" ".join(notes) or None,
        )

    def _divide(self) -> tuple[str, str]:
        """The message, cut after the last word that was heard."""
        heard_s = self._heard.total_s
        begun = [entry for entry in self._runs if entry[2].start_s < heard_s]
        if not begun:
            return "", self._script.undivided()
        line, start, run = begun[-1]
        chars = spoken_chars(run, heard_s, speed=self._manner.speed)
        return self._script.divide(line.block, line.start + start + chars)


def _log_mistakes(task: asyncio.Task[Spoken]) -> None:
    """A failure is somebody's to report; a mistake of ours must at least be in the log."""
    if not task.cancelled() and (exc := task.exception()) is not None and not isinstance(exc, VoiceError):
        logger.error("speaking failed unexpectedly", exc_info=exc)
