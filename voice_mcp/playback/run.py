"""One run of sound on its way to the ear, whatever becomes of the devices and processes in between.

                         OPENED                        ENDED, stop()
         opening ───────────────────────▶ flowing ───────────────────────▶ over
          │ ▲  ▲                           │ │                              ▲
          └─┘  ├───────────────────────────┘ │ hold(), ENDED                │
        again  │ lost, silent, process gone  ▼                              │
          │    └────── go_on() ───────────  held ────────── stop() ─────────┤
          └──────── no device within ``device_wait_s``, stop() ─────────────┘

Whatever is not known to have been heard stays in the ledger. Each device gets a passage of its own, which begins with
the frame at which the one before it fell silent, or with the word in which the sound was held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio.subprocess import Process
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from voice_mcp.audio.lull import lull_before_end
from voice_mcp.errors import AudioProcessLost, CodecError, DeviceBusy, DeviceUnavailable, PlaybackError
from voice_mcp.pipe.child import AudioChild
from voice_mcp.pipe.watch import Watch
from voice_mcp.pipe.wire import Command, pack, pack_json
from voice_mcp.playback.account import Account
from voice_mcp.playback.attempt import Attempt
from voice_mcp.playback.config import LinkConfig
from voice_mcp.playback.ledger import Ledger
from voice_mcp.playback.order import Order
from voice_mcp.playback.passage import FADE_IN_S, MakeConverter, Passage
from voice_mcp.playback.patience import Patience
from voice_mcp.protocols import PlaybackListener, WordBegan
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

logger = logging.getLogger(__name__)

HANG_S = 0.5
"""A device that takes longer than this to open may never do so."""
REMEMBERED_S = 3.0
"""How much of what was heard is remembered: longer than any word, of which the first part is heard again."""
AGAIN = "Call again; `voice-mcp devices` shows where sound can go."


class Run:
    """A ``Playback`` that goes through the audio process.

    Args:
        child: The audio process.
        numbers: One for each attempt to open a device.
        order: What was asked for.
        config: How the audio process is to play.
        listener: Told what happens.
        make_converter: For devices that take another format; without it they cannot be used.
    """

    def __init__(
        self,
        child: AudioChild,
        numbers: Iterator[int],
        order: Order,
        config: LinkConfig,
        listener: PlaybackListener,
        make_converter: MakeConverter | None = None,
    ) -> None:
        self._child = child
        self._numbers = numbers
        self._order = order
        self._config = config
        self._listener = listener
        self._make_converter = make_converter
        fmt = order.fmt
        self._block_bytes = max(fmt.frame_bytes, config.block_bytes // fmt.frame_bytes * fmt.frame_bytes)
        self._ahead_frames = max(fmt.frames_in(config.ahead_s), fmt.frames(self._block_bytes))
        self._ledger = Ledger(fmt, fmt.frames_in(FADE_IN_S), fmt.frames_in(REMEMBERED_S))
        self._account = Account()
        self._patience = self._new_patience()
        self._watch = Watch(self._give_up)
        self._attempt: Attempt | None = None  # None once its device is lost
        self._passage: Passage | None = None  # None until its device is open
        self._moved_to: PlaybackEvent | None = None  # where sound is about to go on
        self._is_lost = False  # and has not gone on yet
        self._sounded_s: float | None = None
        self._asked_s = 0.0
        self._resting = self._finished = self._is_last = False
        self._is_held = False  # somebody wants it silent
        self._is_falling = False  # it was told to fall silent, and has not reported it yet
        self._is_silent = False  # it has, and has let its device go
        self._word_began: WordBegan = _nobody_knows
        self._room = asyncio.Event()
        self._ended: asyncio.Future[PlaybackEvent] = asyncio.get_running_loop().create_future()
        self._opened: asyncio.Future[PlaybackEvent] = asyncio.get_running_loop().create_future()
        for future in (self._ended, self._opened):
            future.add_done_callback(_look_at_exception)
        self._opening: asyncio.Task[None] | None = None

    # --- what the caller asks for ------------------------------------------------------------------------------

    @property
    def format(self) -> PcmFormat:
        return self._order.fmt

    def open(self) -> None:
        """Ask for the device. Returns at once.

        Raises:
            AudioProcessLost: There is no audio process.
        """
        self._ask()
        self._see_to_a_device()

    async def opened(self) -> PlaybackEvent:
        return await asyncio.shield(self._opened)

    async def write(self, frames: bytes) -> None:
        for start in range(0, len(frames), self._block_bytes):
            while self._is_full and not self._ended.done():
                self._room.clear()
                await self._room.wait()
            if self._ended.done():
                self._ended.result()
                return
            self._resting = False
            self._ledger.add(frames[start : start + self._block_bytes])
            self._send_what_waits()
        await self._child.drain()

    def rest(self) -> None:
        self._resting = True
        self._send_what_waits()

    def renew(self) -> None:
        if self._attempt is not None:
            self._attempt.tell(pack_json(Command.RENEW, n=self._attempt.number))

    def finish(self) -> None:
        self._finished = True
        self._send_what_waits()

    def stop(self) -> None:
        if self._ended.done():
            return
        self._is_last = True
        if self._attempt is not None:
            self._attempt.tell(pack_json(Command.STOP, n=self._attempt.number))
        if self._passage is None:  # nothing sounds, and whoever opens a device may take long
            if self._opening_s() > HANG_S:
                self._child.kill()  # or the next one would wait behind it
            self._end_here()
        else:
            self._watch.expect_within(self._config.stop_s)

    def hold(self) -> None:
        if not self._is_held and not self._ended.done():
            self._is_held = True
            self._fall_silent()

    def go_on(self, word_began: WordBegan) -> None:
        if self._is_held and not self._ended.done():
            self._is_held, self._word_began = False, word_began
            self._send_what_waits()
            self._sound_again()

    async def wait(self) -> PlaybackEvent:
        return await asyncio.shield(self._ended)

    def _opening_s(self) -> float:
        return time.perf_counter() - self._asked_s if self._attempt is not None else 0.0

    # --- what the link says ------------------------------------------------------------------------------------

    def take_report(self, report: dict[str, Any]) -> None:
        """Take what the audio process reports, if this run is meant."""
        attempt = self._attempt
        if attempt is None or report.pop("n") != attempt.number or self._ended.done():
            return
        self._watch.heard()
        kind, held, busy = report.pop("event"), report.pop("held", None), report.pop("busy", False)
        if self._passage is None:
            self._take_answer(attempt, PlaybackEvent(PlaybackEventType(kind), **report), busy=busy)
            return
        if held is not None:
            self._note(report["frames"], held)
        if kind != "left":
            self._take_event(PlaybackEvent(PlaybackEventType(kind), **report), self._passage)
        self._room.set()

    def process_ended(self, process: Process, returncode: int | None) -> None:
        """An audio process is gone."""
        if self._attempt is not None and self._attempt.is_with(process) and not self._ended.done():
            error = AudioProcessLost(f"The audio process ended unexpectedly (code {returncode}).")
            self._lose(error, "the audio process is gone")

    def give_way(self) -> None:
        """Another run begins: nothing more will be told of this one."""
        self._fail(PlaybackError("Another run of sound took its place.", hint=AGAIN))

    def make_last(self) -> None:
        """The audio process is about to be ended for good: no other device is to be opened."""
        self._is_last = True
        if self._passage is None:
            self._fail(AudioProcessLost("The audio process was ended."))

    # --- opening -----------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        number = next(self._numbers)
        self._asked_s = time.perf_counter()
        self._attempt = Attempt(self._child, number, self._order.begin(number, self._config))
        self._watch.expect_within(self._config.open_s)

    def _see_to_a_device(self, *, after_hold: bool = False) -> None:
        self._opening = asyncio.create_task(self._open(after_hold), name="device-opening")
        self._opening.add_done_callback(self._look_at_mistakes)

    async def _open(self, after_hold: bool) -> None:
        """Go on with a device as soon as there is one."""
        attempt, was_there = self._attempt, after_hold
        while not self._ended.done():
            try:
                if self._attempt is None:
                    await self._ask_anew(of_a_fresh_process=not after_hold)
                if (attempt := self._attempt) is None:
                    return
                opened = await attempt.outcome()
                passage = await self._passage_to(opened)
                await attempt.outcome()  # once more: the device may have gone meanwhile
            except PlaybackError as exc:
                self._attempt, after_hold = None, False
                is_lost = attempt is not None and attempt.was_open
                was_there = was_there or is_lost
                self._despair_or_wait(exc, was_there=was_there, is_lost=is_lost)
            else:
                self._flow(opened, passage)
                return

    async def _ask_anew(self, *, of_a_fresh_process: bool) -> None:
        """In a while; where a device is gone, of a fresh process: PortAudio sees new ones only after a restart."""
        await asyncio.wait([self._ended], timeout=self._patience.pause_s(time.perf_counter()))
        if self._ended.done():
            return
        await (self._child.replace() if of_a_fresh_process else self._child.start())
        if not self._ended.done():
            self._ask()

    def _new_patience(self) -> Patience:
        return Patience(0.0 if self._order.to_file else self._config.device_wait_s, time.perf_counter())

    def _despair_or_wait(self, error: PlaybackError, *, was_there: bool, is_lost: bool) -> None:
        """A device that is gone may come back, and one that is held may be let go; any other is not waited for.

        One that was open, and lost before anything flowed, is a loss like any other.
        """
        if self._ended.done():
            return
        worth_waiting = self._is_lost or was_there or isinstance(error, DeviceBusy)
        now_s = time.perf_counter()
        if worth_waiting and is_lost and self._patience.allows_loss_at(self._ledger.heard_frames, now_s):
            return
        if worth_waiting and not is_lost and self._patience.lasts(now_s):
            self._patience.failed(now_s)
            return
        self._fail(error)
        if not self._is_lost:  # else the loss has been told
            kind = PlaybackEventType.FAILED if isinstance(error, DeviceUnavailable) else PlaybackEventType.LOST
            self._listener(PlaybackEvent(kind, message=error.message, hint=error.hint))

    def _take_answer(self, attempt: Attempt, event: PlaybackEvent, *, busy: bool) -> None:
        self._watch.cancel()
        if event.type is PlaybackEventType.OPENED:
            attempt.accept(event)
        elif event.type is PlaybackEventType.FAILED:
            attempt.refuse((DeviceBusy if busy else DeviceUnavailable)(event.message, hint=event.hint))
        elif event.type is PlaybackEventType.LOST:
            attempt.was_open = True  # what is lost before it is told to be open was there all the same
            attempt.refuse(PlaybackError(_sentence(event.message), hint=AGAIN))

    async def _passage_to(self, opened: PlaybackEvent) -> Passage:
        """The way to a device that was opened, from where the sound stands.

        Raises:
            DeviceUnavailable: It takes another format, and there is no converter.
        """
        source = self._order.fmt
        device = PcmFormat(opened.rate_hz or source.rate_hz, opened.channels or source.channels)
        pan = self._order.pan_on(device)
        if device == source and not pan:
            return Passage(source, device, self._ledger.left_frames)
        if self._make_converter is None:
            raise DeviceUnavailable(f"The device takes only {device.rate_hz} Hz in {device.channels} channels.")
        try:
            # In a thread: it may load a library.
            converter = await asyncio.to_thread(self._make_converter, source, device, pan)
        except CodecError as exc:
            raise DeviceUnavailable(exc.message, hint=exc.hint) from exc
        return Passage(source, device, self._ledger.left_frames, converter)

    # --- flowing -----------------------------------------------------------------------------------------------

    @property
    def _is_full(self) -> bool:
        return self._ledger.added_frames - self._account.told_frames >= self._ahead_frames

    def _flow(self, opened: PlaybackEvent, passage: Passage) -> None:
        if self._ended.done():
            return
        self._passage = passage
        self._account.begin_anew(self._ledger.left_frames)
        self._watch.expect_within(self._config.answer_s, again=True)
        if not self._opened.done():
            self._opened.set_result(opened)
            self._listener(opened)
        if self._is_lost:
            self._moved_to = opened
            if not self._ledger.unheard_frames:
                self._tell_moved(self._ledger.left_frames, gap_s=0.0)
        if self._is_held:
            self._fall_silent()
        self._send_what_waits()
        self._room.set()

    def _send_what_waits(self) -> None:
        """Send the frames that wait, and what there is to say of what follows them."""
        attempt, passage = self._attempt, self._passage
        if attempt is None or passage is None or self._ended.done() or self._is_held or self._is_falling:
            return
        while (block := self._ledger.take()) is not None:
            self._send(attempt, passage.forward(block))
        if self._finished:
            self._send(attempt, passage.finish())
            attempt.tell(pack_json(Command.FINISH, n=attempt.number))
        elif self._resting:
            attempt.tell(pack_json(Command.REST, n=attempt.number))

    def _send(self, attempt: Attempt, frames: bytes) -> None:
        if frames:
            attempt.tell(pack(Command.AUDIO, frames))  # where nobody is left, the ledger still has them

    def _note(self, device_frames: int, held_frames: int) -> None:
        """So much has left for the device, which may still hold some of it."""
        assert self._passage is not None
        heard = self._passage.frame_of(device_frames - held_frames)
        if heard > self._ledger.heard_frames:
            self._sounded_s = time.perf_counter()
        self._ledger.note(self._passage.frame_of(device_frames), heard)

    def _take_event(self, event: PlaybackEvent, passage: Passage) -> None:
        event = replace(event, frames=passage.frame_of(event.frames))
        if event.type is PlaybackEventType.ENDED:
            event = replace(event, heard_frames=passage.frame_of(event.heard_frames))
        self._ledger.note(event.frames, event.heard_frames)
        told = self._account.take(event)
        if event.type is PlaybackEventType.LOST:
            self._lose(PlaybackError(_sentence(event.message), hint=AGAIN), event.message)
            return
        if event.type is PlaybackEventType.STARTED and self._is_lost:
            silent_s = event.heard_at_s - self._sounded_s if self._sounded_s is not None else 0.0
            self._tell_moved(event.frames, gap_s=max(0.0, silent_s))
        if told is not None and told.type is PlaybackEventType.ENDED:
            if self._is_falling and not self._is_last and not self._is_all_heard:
                self._let_the_device_go(told)
            else:
                self._end(told)
        elif told is not None:
            self._listener(told)

    def _tell_moved(self, frame: int, gap_s: float) -> None:
        assert self._moved_to is not None
        self._listener(replace(self._moved_to, type=PlaybackEventType.MOVED, frames=frame, gap_s=gap_s))
        self._is_lost, self._moved_to = False, None

    # --- held --------------------------------------------------------------------------------------------------

    def _fall_silent(self) -> None:
        """Stop what sounds. What is still to be opened is stopped once it is open, and a file makes no sound."""
        if self._attempt is None or self._passage is None or self._order.to_file or self._is_falling:
            return
        self._is_falling = True
        self._attempt.tell(pack_json(Command.STOP, n=self._attempt.number))
        self._watch.expect_within(self._config.stop_s)

    def _let_the_device_go(self, event: PlaybackEvent) -> None:
        """It is silent: whoever goes on will open a device anew."""
        self._watch.cancel()
        self._attempt = self._passage = None
        self._is_falling, self._is_silent = False, True
        self._listener(replace(event, type=PlaybackEventType.HELD))
        if not self._is_held:  # somebody has changed their mind meanwhile
            self._sound_again()

    def _sound_again(self) -> None:
        """Go on where a word begins, once it is silent."""
        if not self._is_silent or self._ended.done():
            return
        self._is_silent = False
        frame = self._word_began(self._ledger.heard_frames)
        if frame is None:
            frame = self._ledger.heard_frames - lull_before_end(self._ledger.heard_last(), self._order.fmt)
        self._account.go_back(self._ledger.go_back(frame))
        self._patience = self._new_patience()
        self._sounded_s = time.perf_counter()  # the silence before this was wanted
        self._listener(PlaybackEvent(PlaybackEventType.WENT_ON, self._ledger.left_frames))
        self._see_to_a_device(after_hold=True)

    # --- losses and ends ---------------------------------------------------------------------------------------

    @property
    def _is_all_heard(self) -> bool:
        return self._finished and not self._ledger.unheard_frames

    def _give_up(self) -> None:
        """The audio process hangs: nothing but its end gets it out of whatever it waits for."""
        logger.warning("the audio process does not answer and is killed")
        self._child.kill()
        if self._passage is not None:
            error = AudioProcessLost("The audio process stopped answering.")
            self._lose(error, error.message)
        elif self._attempt is not None:
            limit_s = self._config.open_s
            self._attempt.refuse(DeviceUnavailable(f"The sound device did not open within {limit_s:g} s."))

    def _lose(self, error: PlaybackError, message: str) -> None:
        """What there was is silent: go on elsewhere, where that may be."""
        if self._passage is None:
            assert self._attempt is not None
            self._attempt.refuse(error)
            return
        self._watch.cancel()
        self._attempt = self._passage = None
        heard = self._ledger.heard_frames
        if self._is_all_heard:
            self._end_here()  # only the report of the end is missing
            return
        if self._is_falling and not self._is_last:
            self._let_the_device_go(PlaybackEvent(PlaybackEventType.HELD, heard, heard_frames=heard))
            return
        if not self._ledger.unheard_frames:
            self._sounded_s = time.perf_counter()  # the silence before this was a pause
        if self._is_last or not self._patience.allows_loss_at(heard, time.perf_counter()):
            self._fail(error)
        else:
            self._ledger.rewind()
            self._is_lost, self._moved_to = True, None
            self._see_to_a_device()
        self._listener(PlaybackEvent(PlaybackEventType.LOST, heard, message=message))
        self._room.set()

    def _end_here(self) -> None:
        """Nothing sounds any more, and nobody is there to report it."""
        now_s, heard = time.perf_counter(), self._ledger.heard_frames
        ended = PlaybackEvent(PlaybackEventType.ENDED, heard, left_at_s=now_s, heard_at_s=now_s, heard_frames=heard)
        self._end(self._account.closed(ended))

    def _end(self, event: PlaybackEvent) -> None:
        for future in (self._opened, self._ended):  # what is stopped while its device opens never is reported open
            if not future.done():
                future.set_result(event)
        self._release_waiters()
        self._listener(event)

    def _fail(self, error: PlaybackError) -> None:
        for future in (self._opened, self._ended):
            if not future.done():
                future.set_exception(error)
        self._release_waiters()

    def _release_waiters(self) -> None:
        self._watch.cancel()
        self._room.set()
        if self._attempt is not None:
            self._attempt.refuse(AudioProcessLost("Nobody waits for the device any more."))

    def _look_at_mistakes(self, opening: asyncio.Task[None]) -> None:
        """Nobody waits for that task: a mistake of ours must not leave others waiting for ever."""
        if not opening.cancelled() and (exc := opening.exception()) is not None:
            logger.error("opening a device failed unexpectedly", exc_info=exc)
            self._fail(PlaybackError("The sound device could not be opened."))


def _nobody_knows(heard_frames: int) -> int | None:
    """A ``WordBegan`` for sound of which nothing is known."""


def _sentence(reason: str) -> str:
    """A reason as a backend gives it, with a capital at the start and one full stop at the end."""
    reason = reason.rstrip(". ")
    return f"{reason[:1].upper()}{reason[1:]}."


def _look_at_exception(ended: asyncio.Future[PlaybackEvent]) -> None:
    """Whoever waits gets the error; if nobody does, asyncio must not complain about it later."""
    if not ended.cancelled():
        ended.exception()
