"""The server's end of the pipe to the audio process: starts it ahead of need, feeds it, listens to it, replaces it.

At most ``ahead_s`` seconds of audio are on the way at any time, so that a stop never queues behind sound that nobody
will hear, and memory stays flat however long the utterance. A sound system can hang for ever, and the audio process
with it: every wait for it has a bound, after which it is killed and the next utterance gets a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, PlaybackError
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.playback.wire import Command, pack, pack_json
from voice_mcp.protocols import Playback, PlaybackListener
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

logger = logging.getLogger(__name__)

AUDIO_PROCESS = (sys.executable, "-P", "-m", "voice_mcp.audio_process")
"""``-P`` keeps the working folder off the import path: a project's own ``sounddevice.py`` must not run here."""
EXIT_S = 1.0
"""How long the audio process may take to fade out and go before it is killed."""
DEVICES_S = 10.0
"""How long listing devices may take; a sound server that hangs must not hang the caller."""
DEVICE_BACKENDS = ("sounddevice", "miniaudio")
"""What VOICEMODE_AUDIO_OUTPUT=auto tries, in order; where both fail, the audio goes to a file."""
STEPS = 4
"""In how many steps a limit is waited for."""


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How the audio process is to play."""

    backends: tuple[str, ...] = DEVICE_BACKENDS
    device: str | None = None
    policy: BufferPolicy = BufferPolicy()
    ahead_s: float = 2.0
    """Seconds of audio that may be on the way to the device."""
    block_bytes: int = 4096
    """Largest piece that is handed over at once."""
    open_s: float = 5.0
    """How long a device may take to open; Bluetooth needs seconds."""
    answer_s: float = 3.0
    """How long the audio process may be silent afterwards; it reports four times a second, even when nothing moves."""
    stop_s: float = 1.0
    """How long a stop may take."""


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The output devices one backend can reach."""

    backend: str
    names: tuple[str, ...]
    problem: str | None = None
    """Why there are none, when the backend cannot be used."""


class AudioLink:
    """The one audio process of this server."""

    def __init__(self, config: LinkConfig, command: Sequence[str] = AUDIO_PROCESS) -> None:
        self._config = config
        self._command = tuple(command)
        self._process: asyncio.subprocess.Process | None = None
        self._readers: dict[asyncio.subprocess.Process, asyncio.Task[None]] = {}  # of all that have not ended yet
        self._starting = asyncio.Lock()
        self._numbers = 0
        self._current: _LinkPlayback | None = None
        self._device_lists: asyncio.Queue[DeviceList | None] = asyncio.Queue()

    @property
    def pid(self) -> int | None:
        """The audio process, while it runs."""
        return self._process.pid if self._is_running() and self._process is not None else None

    async def start(self) -> None:
        """See that the audio process runs.

        Raises:
            AudioProcessLost: It cannot be started.
        """
        async with self._starting:
            if self._is_running():
                return
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
                )
            except OSError as exc:
                raise AudioProcessLost(f"The audio process cannot be started: {exc}.") from exc
            reading = asyncio.create_task(self._read(self._process), name="audio-process-reports")
            self._readers[self._process] = reading

    async def begin(
        self,
        fmt: PcmFormat,
        listener: PlaybackListener,
        *,
        start_s: float | None = None,
        to_file: bool = False,
        path: Path | None = None,
        pan: float = 0.0,
    ) -> Playback:
        await self.start()
        if self._current is not None:
            self._current.give_way()
        self._numbers += 1
        playback = _LinkPlayback(self, self._numbers, fmt, listener, self._config, process=self._process)
        self._current = playback
        policy = self._config.policy
        self.send(
            pack_json(
                Command.BEGIN,
                n=playback.number,
                rate_hz=fmt.rate_hz,
                channels=fmt.channels,
                backends=("file",) if to_file else self._config.backends,
                device=self._config.device,
                path=str(path) if path is not None else None,
                start_s=policy.start_s if start_s is None else start_s,
                rebuffer_s=policy.rebuffer_s,
                most_s=min(policy.most_s, self._config.ahead_s),  # nobody can wait for more than may be on its way
            )
        )
        return playback

    async def devices(self, backends: tuple[str, ...]) -> list[DeviceList]:
        """The output devices each of ``backends`` can reach.

        Raises:
            AudioProcessLost: The audio process cannot be started, or does not answer.
        """
        await self.start()
        self.send(pack_json(Command.DEVICES, backends=backends))
        lists: list[DeviceList] = []
        try:
            async with asyncio.timeout(DEVICES_S):
                while (entry := await self._device_lists.get()) is not None:
                    lists.append(entry)
        except TimeoutError as exc:
            self.kill()
            raise AudioProcessLost(f"The sound system did not answer within {DEVICES_S:.0f} s.") from exc
        return lists

    async def aclose(self) -> None:
        """Fade out, and let the audio process go; kill it if it does not."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if await self._still_there():
            logger.warning("the audio process did not end by itself and is killed")
            self.kill()
            await self._still_there()  # bounded as well: the kernel may hold on to one that waits for a driver

    def kill(self) -> None:
        """End the audio process, whatever it is doing; the next utterance starts another. Returns at once."""
        self._process = None
        for process in self._readers:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    process.kill()

    def send(self, message: bytes) -> None:
        """Write one message; never waits.

        Raises:
            AudioProcessLost: There is no audio process.
        """
        if not self._is_running() or self._process is None or self._process.stdin is None:
            raise AudioProcessLost("The audio process is not running.")
        self._process.stdin.write(message)

    async def drain(self) -> None:
        """Wait until the pipe has taken what was written."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):  # the reader notices the loss and tells everybody
                await self._process.stdin.drain()

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _still_there(self) -> bool:
        """Whether an audio process has still not ended after the time it is given for it."""
        if not self._readers:
            return False
        _, waiting = await asyncio.wait(self._readers.values(), timeout=EXIT_S)
        return bool(waiting)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._dispatch(json.loads(line))
        await process.wait()
        del self._readers[process]
        if self._current is not None and self._current.process is process:
            self._current.process_lost(process.returncode)

    def _dispatch(self, report: dict[str, Any]) -> None:
        event = report.pop("event")
        if event == "devices":
            self._device_lists.put_nowait(DeviceList(report["backend"], tuple(report["names"]), report["problem"]))
        elif event == "devices_end":
            self._device_lists.put_nowait(None)
        elif self._current is not None and report.pop("n") == self._current.number:
            self._current.take_event(PlaybackEvent(PlaybackEventType(event), **report))


class _LinkPlayback:
    """A ``Playback`` that goes through the link."""

    def __init__(
        self,
        link: AudioLink,
        number: int,
        fmt: PcmFormat,
        listener: PlaybackListener,
        config: LinkConfig,
        *,
        process: asyncio.subprocess.Process | None,
    ) -> None:
        self.number = number
        self.process = process
        self._link = link
        self._config = config
        self._format = fmt
        self._listener = listener
        self._block_bytes = max(fmt.frame_bytes, config.block_bytes // fmt.frame_bytes * fmt.frame_bytes)
        self._ahead_frames = max(fmt.frames_in(config.ahead_s), fmt.frames(self._block_bytes))
        self._sent_frames = 0
        self._left_frames = 0
        self._room = asyncio.Event()
        self._ended: asyncio.Future[PlaybackEvent] = asyncio.get_running_loop().create_future()
        self._opened: asyncio.Future[PlaybackEvent] = asyncio.get_running_loop().create_future()
        for future in (self._ended, self._opened):
            future.add_done_callback(_look_at_exception)
        self._watch = _Watch(self._give_up)
        self._watch.expect_within(config.open_s)

    @property
    def format(self) -> PcmFormat:
        return self._format

    async def opened(self) -> PlaybackEvent:
        return await asyncio.shield(self._opened)

    async def write(self, frames: bytes) -> None:
        view = memoryview(frames)
        for start in range(0, len(view), self._block_bytes):
            block = view[start : start + self._block_bytes]
            while not self._ended.done() and self._sent_frames - self._left_frames >= self._ahead_frames:
                self._room.clear()
                await self._room.wait()
            if self._ended.done():
                self._ended.result()
                return
            self._link.send(pack(Command.AUDIO, block))
            self._sent_frames += self._format.frames(len(block))
        await self._link.drain()

    def rest(self) -> None:
        self._tell(Command.REST)

    def finish(self) -> None:
        self._tell(Command.FINISH)

    def stop(self) -> None:
        self._tell(Command.STOP)
        if self._opened.done() and not self._ended.done():
            self._watch.expect_within(self._config.stop_s)

    async def wait(self) -> PlaybackEvent:
        return await asyncio.shield(self._ended)

    def take_event(self, event: PlaybackEvent) -> None:
        """Take what the audio process reports."""
        self._left_frames = max(self._left_frames, event.frames)
        self._watch.heard()
        if event.type is PlaybackEventType.OPENED:
            if not self._opened.done():  # a device may be lost before it is reported open
                self._opened.set_result(event)
                self._watch.expect_within(self._config.answer_s, again=True)
        elif event.type is PlaybackEventType.ENDED:
            self._end(event)
        elif event.type is PlaybackEventType.FAILED:
            self._fail(DeviceUnavailable(event.message, hint=event.hint))
        elif event.type is PlaybackEventType.LOST:
            self._fail(PlaybackError(_sentence(event.message), hint=_AGAIN))
        self._listener(event)
        self._room.set()

    def process_lost(self, returncode: int | None) -> None:
        """The audio process is gone."""
        if not self._ended.done():
            self._fail(AudioProcessLost(f"The audio process ended unexpectedly (code {returncode})."))
            self._listener(
                PlaybackEvent(PlaybackEventType.LOST, self._left_frames, message="the audio process is gone")
            )
        self._room.set()

    def give_way(self) -> None:
        """Another run begins: nothing more will be told of this one."""
        self._fail(PlaybackError("Another run of sound took its place.", hint=_AGAIN))
        self._room.set()

    def _give_up(self) -> None:
        """The audio process hangs: nothing but its end gets it out of whatever it waits for."""
        logger.warning("the audio process does not answer and is killed")
        self._link.kill()
        if self._opened.done():
            error: PlaybackError = AudioProcessLost("The audio process stopped answering.")
            kind = PlaybackEventType.LOST
        else:
            error = DeviceUnavailable(f"The sound device did not open within {self._config.open_s:g} s.")
            kind = PlaybackEventType.FAILED
        self._fail(error)
        self._listener(PlaybackEvent(kind, self._left_frames, message=error.message, hint=error.hint))
        self._room.set()

    def _end(self, event: PlaybackEvent) -> None:
        self._watch.cancel()
        for future in (self._opened, self._ended):  # what is stopped while its device opens never is reported open
            if not future.done():
                future.set_result(event)

    def _fail(self, error: PlaybackError) -> None:
        self._watch.cancel()
        for future in (self._opened, self._ended):
            if not future.done():
                future.set_exception(error)

    def _tell(self, command: Command) -> None:
        if not self._ended.done():
            with contextlib.suppress(AudioProcessLost):  # then the reader ends the playback, and with more to say
                self._link.send(pack_json(command, n=self.number))


class _Watch:
    """Says when the other side has been silent for too long.

    The limit is waited for in steps: a server that was itself held up, or stopped and continued with its whole group,
    finds one step over and not the limit, and reads what has come in before it judges.

    Args:
        on_silence: Called once when a limit is over.
    """

    def __init__(self, on_silence: Callable[[], None]) -> None:
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle | None = None
        self._step_s = 0.0
        self._steps_left = 0
        self._again = False

    def expect_within(self, limit_s: float, *, again: bool = False) -> None:
        """Expect something within ``limit_s`` seconds, or, with ``again``, a sign of life at least so often."""
        self.cancel()
        self._step_s, self._steps_left, self._again = limit_s / STEPS, STEPS, again
        self._wait()

    def heard(self) -> None:
        """There was a sign of life."""
        if self._again:
            self._steps_left = STEPS

    def cancel(self) -> None:
        """Expect nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._step_s, self._step)

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left > 0:
            self._wait()
        else:
            self._on_silence()


_AGAIN = "Call again; `voice-mcp devices` shows where sound can go."


def _sentence(reason: str) -> str:
    """A reason as a backend gives it, with a capital at the start and one full stop at the end."""
    reason = reason.rstrip(". ")
    return f"{reason[:1].upper()}{reason[1:]}."


def _look_at_exception(ended: asyncio.Future[PlaybackEvent]) -> None:
    """Whoever waits gets the error; if nobody does, asyncio must not complain about it later."""
    if not ended.cancelled():
        ended.exception()
