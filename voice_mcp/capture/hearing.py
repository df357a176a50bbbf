"""An open microphone, whatever becomes of the devices and processes in between.

                     first frames                aclose()
         seeking ─────────────────▶ hearing ─────────────▶ over
          │ ▲  ▲                       │                    ▲
          └─┘  └───────────────────────┘                    │
         again      lost, silent, process gone              │
          └──────── none within ``device_wait_s``, aclose() ┘

Each device gets a stretch of its own. Between two of them there is silence, as long as nobody listened.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from voice_mcp.capture.attempt import Attempt
from voice_mcp.capture.config import CaptureConfig
from voice_mcp.capture.gauge import Gauge
from voice_mcp.capture.stretch import MakeConverter, Stretch
from voice_mcp.capture.timeline import LONGEST_HOLE_S
from voice_mcp.errors import AudioProcessLost, CodecError, MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.pipe.child import AudioChild
from voice_mcp.pipe.watch import Watch
from voice_mcp.types import LISTENING_FORMAT, CaptureCondition, CapturedSound, PcmFormat

logger = logging.getLogger(__name__)

RETRY_S = 0.5
"""How often a microphone that is waited for is tried."""


class Hearing:
    """A ``Capture`` that goes through the audio process.

    What is heard and not read yet waits, 32 kB a second.

    Args:
        child: The audio process.
        numbers: One for each attempt to open a device.
        config: How to listen.
        make_converter: Makes what brings frames into ``LISTENING_FORMAT``.
        on_closed: Called once its microphone is closed.
    """

    def __init__(
        self,
        child: AudioChild,
        numbers: Iterator[int],
        config: CaptureConfig,
        make_converter: MakeConverter,
        on_closed: Callable[[], None],
    ) -> None:
        self._child = child
        self._numbers = numbers
        self._config = config
        self._make_converter = make_converter
        self._on_closed = on_closed
        self.backend = ""
        """What listens, or did last: ``sounddevice``, ``miniaudio``, ``file`` or ``null``."""
        self._gauge = Gauge()
        self._watch = Watch(self._hangs)
        self._attempt: Attempt | None = None  # None once its device is lost
        self._lost: tuple[float, str] | None = None  # when the last stretch ended, and why, while none has followed
        self._tried_s = -math.inf
        self._sounds: deque[CapturedSound] = deque()
        self._news = asyncio.Event()
        self._problem: MicrophoneUnavailable | None = None
        self._over = asyncio.Event()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first.add_done_callback(lambda first: first.cancelled() or first.exception())
        self._seeking: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    # --- what the caller asks for ------------------------------------------------------------------------------

    @property
    def condition(self) -> CaptureCondition:
        return replace(self._gauge.condition, is_file=self.backend == "file")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be heard."""
        return self._over.is_set()

    async def open(self) -> None:
        """Open a microphone; returns with its first frames.

        Raises:
            MicrophoneUnavailable: There is none that can be.
        """
        self._seek()
        await asyncio.shield(self._first)

    def __aiter__(self) -> Hearing:
        return self

    async def __anext__(self) -> CapturedSound:
        while not self._sounds:
            if self._problem is not None:
                raise self._problem
            if self._over.is_set():
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._sounds.popleft()

    def close(self) -> None:
        """Close the microphone; ``aclose`` waits until it is. Returns at once."""
        if self._closing is None:
            self._end()
            self._closing = asyncio.create_task(self._release(), name="microphone-closing")

    async def aclose(self) -> None:
        self.close()
        assert self._closing is not None
        await asyncio.shield(self._closing)  # whoever is cancelled here leaves no microphone open

    # --- what the link says ------------------------------------------------------------------------------------

    def take_report(self, report: dict[str, Any]) -> None:
        """Take what the audio process reports, if this capture is meant."""
        attempt = self._attempt
        if attempt is None or report["n"] != attempt.number:
            return
        self._watch.heard()
        event = report["event"]
        if event == "released":
            attempt.released.set()
        elif self._over.is_set():
            return
        elif event == "heard":
            self._heard(attempt, report)
        elif event == "opened":
            attempt.accept(PcmFormat(report["rate_hz"], report["channels"]), report["backend"])
        elif event == "failed":
            kind = MicrophoneBusy if report["busy"] else MicrophoneUnavailable
            attempt.refuse(kind(report["message"], hint=report["hint"]))
        elif event == "lost":
            self._lose(attempt, report["message"])

    def process_ended(self, process: Process, returncode: int | None) -> None:
        """An audio process is gone, and with it whatever it held open."""
        attempt = self._attempt
        if attempt is not None and attempt.process is process:
            attempt.released.set()
            self._lose(attempt, f"its process ended unexpectedly (code {returncode})")

    def fail(self, problem: MicrophoneUnavailable) -> None:
        """Nothing more can be heard. What was heard can still be read."""
        if not self._over.is_set():
            self._problem = problem
            self._end()

    # --- seeking -----------------------------------------------------------------------------------------------

    def _seek(self) -> None:
        self._seeking = asyncio.create_task(self._find(), name="microphone-seeking")
        self._seeking.add_done_callback(self._look_at_mistakes)

    async def _find(self) -> None:
        """Have a microphone hear. A fresh process for each try: PortAudio sees new devices only after a restart."""
        until_s = time.perf_counter() + self._config.device_wait_s
        while not self._over.is_set():
            await self._pause(self._tried_s + RETRY_S - time.perf_counter())
            self._tried_s = time.perf_counter()
            try:
                await self._try()
                return
            except MicrophoneUnavailable as exc:
                if self._over.is_set():
                    return
                if not self._is_worth_waiting(exc) or time.perf_counter() >= until_s:
                    self.fail(self._verdict(exc))
                    return
                self._attempt = None
                self._child.kill()

    async def _try(self) -> None:
        """Ask for a microphone, and wait for what it hears first.

        Raises:
            MicrophoneUnavailable: Nothing comes of it.
        """
        try:
            await self._child.start()
            if self._over.is_set():
                return
            attempt = self._attempt = Attempt(self._child, next(self._numbers), self._config)
            async with asyncio.timeout(self._config.open_s):
                fmt = await attempt.opened
                # In a thread: it may load a library.
                converter = await asyncio.to_thread(self._make_converter, fmt, LISTENING_FORMAT)
                self._begin(attempt, Stretch(fmt, converter, self._gauge))
                await attempt.heard
        except (AudioProcessLost, CodecError) as exc:
            raise MicrophoneUnavailable(exc.message, hint=exc.hint) from exc
        except TimeoutError as exc:
            self._child.kill()  # nothing else gets it out of whatever it waits for
            raise MicrophoneUnavailable(f"The microphone did not open within {self._config.open_s:g} s.") from exc

    def _is_worth_waiting(self, error: MicrophoneUnavailable) -> bool:
        """One that is gone may come back, and one that is held may be let go; any other is not waited for."""
        was_there = self._attempt is not None and self._attempt.was_open
        return was_there or self._lost is not None or isinstance(error, MicrophoneBusy)

    def _verdict(self, error: MicrophoneUnavailable) -> MicrophoneUnavailable:
        if self._lost is None:
            return error
        wait_s = self._config.device_wait_s
        return MicrophoneUnavailable(f"The microphone is gone, and did not come back within {wait_s:g} s.")

    async def _pause(self, duration_s: float) -> None:
        """Wait, but not beyond the end."""
        try:
            async with asyncio.timeout(max(0.0, duration_s)):
                await self._over.wait()
        except TimeoutError:
            return

    # --- hearing -----------------------------------------------------------------------------------------------

    def _begin(self, attempt: Attempt, stretch: Stretch) -> None:
        attempt.stretch = stretch
        for report in attempt.early:
            self._heard(attempt, report)
        attempt.early.clear()

    def _heard(self, attempt: Attempt, report: dict[str, Any]) -> None:
        if attempt.stretch is None:
            attempt.early.append(report)
            return
        after_loss = report.get("after_loss", False)
        self._give(attempt.stretch.take(report["payload"], report["at_s"], after_loss=after_loss))
        if not attempt.heard.done():
            attempt.heard.set_result(None)
            self.backend = attempt.backend
            self._watch.expect_within(self._config.answer_s, again=True)
            if not self._first.done():
                self._first.set_result(None)

    def _give(self, sounds: Iterable[CapturedSound]) -> None:
        for sound in sounds:
            if self._lost is not None:
                (end_s, why), self._lost = self._lost, None
                missing = LISTENING_FORMAT.frames_in(min(sound.at_s - end_s, LONGEST_HOLE_S))
                if missing > 0:
                    began_s = sound.at_s - LISTENING_FORMAT.seconds(missing)
                    self._sounds.append(CapturedSound(bytes(missing * LISTENING_FORMAT.frame_bytes), began_s, why))
            self._sounds.append(sound)
            self._news.set()

    def _hangs(self) -> None:
        """The audio process says nothing any more, though it has to."""
        if self._attempt is not None:
            self._lose(self._attempt, "its process stopped answering")

    def _lose(self, attempt: Attempt, reason: str) -> None:
        """What there was hears nothing any more: go on elsewhere, where that may be."""
        if self._over.is_set():
            return
        if attempt.stretch is None or not attempt.heard.done():  # the try that is under way fails
            attempt.refuse(MicrophoneUnavailable(f"The microphone was lost as it opened: {reason}."))
            return
        logger.warning("the microphone was lost: %s", reason)
        self._watch.cancel()
        self._give(attempt.stretch.finish())
        self._lost = attempt.stretch.end_s, reason
        self._attempt = None
        self._child.kill()
        self._seek()

    # --- the end -----------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._watch.cancel()
        self._over.set()
        self._news.set()
        problem = self._problem or MicrophoneUnavailable("The microphone was closed.")
        if self._attempt is not None:
            self._attempt.refuse(problem)
        if not self._first.done():
            self._first.set_exception(problem)

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._config.close_s):
                if self._attempt is not None:
                    await self._attempt.release()
                if self._seeking is not None:
                    await asyncio.wait([self._seeking])  # it may be starting a process, which the next one can use
        except TimeoutError:
            logger.warning("the microphone does not close, and its process is killed")
            self._child.kill()
            await self._child.aclose()
        self._attempt = None
        self._on_closed()

    def _look_at_mistakes(self, seeking: asyncio.Task[None]) -> None:
        """Nobody waits for that task: a mistake of ours must not leave others waiting for ever."""
        if not seeking.cancelled() and (exc := seeking.exception()) is not None:
            logger.error("opening a microphone failed unexpectedly", exc_info=exc)
            self.fail(MicrophoneUnavailable("The microphone could not be opened."))
