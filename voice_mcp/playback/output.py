"""The output of the audio process: the player of the current utterance between the commands and the device.

Thread: commands come from the main thread, frames leave in the device's own thread, reports go out in a third one, so
that neither a slow reader nor a slow device ever holds up the other. What may wait for the sound system (it can hang
for ever) is left to whoever does the device work, in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Any

from voice_mcp.errors import DeviceBusy, DeviceUnavailable
from voice_mcp.playback.device import Device, LoadBackend
from voice_mcp.playback.player import BufferPolicy, Player, PlayerEvent, PlayerState
from voice_mcp.playback.pulls import Pulls
from voice_mcp.playback.wake import Wake
from voice_mcp.types import PcmFormat, PlaybackEventType

IDLE_CLOSE_S = 3.0
"""How long an open device outlives speech, so that the next sentence need not wake it (Bluetooth takes 300 ms)."""
SILENT_DEVICE_S = 2.0
"""A device that asks for nothing for this long while frames are waiting is gone."""
LONG_LATENCY_S = 0.06
"""Above this, a stop cannot wait for what the device already holds: it is cut off instead of faded out."""
TICK_S = 0.25
"""How often there is a report at least, while an utterance lives: the server takes silence for a hang."""
LOOK_S = 0.02
"""How often the server is told what has left, while something does: so much is played twice if this process dies. It
costs the server half a per cent of a core."""
IN_HANDS_S = 0.02
"""Besides its latency, a device holds what it takes at once, and a sound server behind it what that took: 10 ms each
were found missing on a card whose server was killed."""
LAST_REPORTS_S = 0.1
"""How long the last reports may take to go out; a server that does not read them must not keep this process alive."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a BEGIN command asks for."""

    number: int
    fmt: PcmFormat
    backends: tuple[str, ...]
    """In the order in which they are tried."""
    device: str | None
    path: str | None
    policy: BufferPolicy
    wake_s: float = 0.0
    """Silence a device gets that has to be opened for it."""


class Output:
    """A ``FrameSource`` for the device in front, the player behind.

    Args:
        load_backend: Gives a backend by its name.
        send: Sends one report to the server; called from one thread only.
        do_device_work: Does, or has done, what it is given: one after the other, in the order given. By default in
            the thread of the command.
    """

    def __init__(
        self,
        load_backend: LoadBackend,
        send: Callable[[dict[str, Any]], None],
        do_device_work: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._send = send
        self._do_device_work = do_device_work
        self._wake = Wake()
        self._device = Device(self._wake.noticing(load_backend), self)
        self._changed = Condition()
        self._utterance: Utterance | None = None
        self._player: Player | None = None
        self._is_open = False  # the device of the current utterance
        self._format = PcmFormat(1, 1)  # what the player is filled with: what the device takes, once that is known
        self._told = (0, 0)  # what has left, and what of it the device may still hold
        self._last_pull_s = 0.0
        self._pulls = Pulls(1, 0.0)  # of the device that is open, once one is
        self._idle_since_s = 0.0
        self._reports: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._reporter = Thread(target=self._report_forever, name="reports", daemon=True)
        self._reporter.start()

    # --- commands: the main thread -----------------------------------------------------------------------------

    def begin(self, utterance: Utterance) -> None:
        """Take a new utterance and see that its device is open."""
        player = Player(utterance.fmt, utterance.policy)
        with self._changed:
            self._player, self._utterance, self._is_open = player, utterance, False
            self._format, self._told = utterance.fmt, (0, 0)
        self._do_device_work(partial(self._open, utterance, player))

    def push(self, frames: bytes) -> None:
        """Take the next frames of the current utterance, in the format that was reported with its opening."""
        with self._changed:
            if self._player is not None:
                self._player.push(frames, time.perf_counter())
                self._changed.notify_all()

    def rest(self, number: int) -> None:
        """Nothing more is due for now: what follows is a pause, not a gap."""
        with self._changed:
            if self._player is not None and self._is_current(number):
                self._player.rest()

    def renew(self, number: int) -> None:
        """The source of utterance ``number`` begins anew."""
        with self._changed:
            if self._player is not None and self._is_current(number):
                self._player.renew()

    def finish(self, number: int) -> None:
        """No more frames will come for utterance ``number``."""
        with self._changed:
            if self._player is not None and self._is_current(number):
                self._player.finish()
                self._changed.notify_all()

    def stop(self, number: int) -> None:
        """Silence utterance ``number``: a fade, or the device cut off where it holds too much to wait for."""
        with self._changed:
            player = self._player
            if player is None or not self._is_current(number):
                return
            cut_off = self._is_open and self._device.latency_s > LONG_LATENCY_S
            if cut_off:
                player.cut()
            else:
                player.stop()
            self._collect(player, time.perf_counter(), cut_off=cut_off)
            self._changed.notify_all()
        if cut_off:
            self._do_device_work(self._device.close)

    def close(self) -> None:
        """Silence, let go of the device, and send the last reports."""
        with self._changed:
            player = self._player
            if player is not None:
                player.stop()
                self._changed.wait_for(lambda: player.state is PlayerState.ENDED, timeout=0.05)
                player.cut()  # where the device asks for nothing more there is nothing to fade
                self._collect(player, time.perf_counter())
        if player is not None:
            # The fade is still in the device's buffer; cutting it off there would be heard as a click.
            time.sleep(min(self._device.latency_s, LONG_LATENCY_S))
        self._device.close()
        self._reports.put(None)
        self._reporter.join(LAST_REPORTS_S)

    def list_devices(self, backends: tuple[str, ...]) -> None:
        """Report the devices of each backend."""
        self._do_device_work(partial(self._list, backends))

    # --- device work -------------------------------------------------------------------------------------------

    def _open(self, utterance: Utterance, player: Player) -> None:
        with self._changed:
            if self._player is not player:  # stopped before its turn came
                return
        problem: DeviceUnavailable | None = None
        try:
            self._device.open(utterance.fmt, utterance.backends, utterance.device, utterance.path)
        except DeviceUnavailable as exc:
            problem = exc
        with self._changed:
            if self._player is not player:  # stopped or lost as it opened, and told so
                return
            if problem is not None:
                self._player = None
                busy = isinstance(problem, DeviceBusy)
                self._report("failed", n=utterance.number, message=problem.message, hint=problem.hint, busy=busy)
                return
            self._start(utterance, player)

    def _start(self, utterance: Utterance, player: Player) -> None:
        device = self._device
        if device.format != utterance.fmt:  # nothing has come yet: the server waits to hear what the device takes
            self._format = device.format
            self._player = player = Player(device.format, utterance.policy)
        player.fit_to_device(device.period_frames, device.format.frames_in(device.latency_s))
        if self._wake.begin(utterance.wake_s):
            self._pulls = Pulls(device.format.rate_hz, device.latency_s)
        self._last_pull_s = time.perf_counter()
        self._report(
            "opened",
            n=utterance.number,
            backend=device.backend,
            latency_s=round(device.latency_s, 4),
            rate_hz=device.format.rate_hz,
            channels=device.format.channels,
        )
        self._is_open = True
        self._changed.notify_all()

    def _list(self, backends: tuple[str, ...]) -> None:
        for name in backends:
            try:
                self._report("devices", backend=name, names=self._device.devices(name), problem=None)
            except DeviceUnavailable as exc:
                self._report("devices", backend=name, names=[], problem=exc.advice)
        self._report("devices_end")

    # --- frames: the device's thread ---------------------------------------------------------------------------

    def render(self, out: memoryview) -> None:
        with self._changed:
            self._last_pull_s = time.perf_counter()
            player = self._audible()
            self._look_for_gap(len(out), player)
            awake = self._wake.is_over(self._format.seconds(self._format.frames(len(out))))
            if player is None or not awake:
                out[:] = bytes(len(out))
            else:
                player.render(out, self._last_pull_s)
                self._collect(player, self._last_pull_s)

    def take(self, most_bytes: int, timeout_s: float) -> bytes:
        with self._changed:
            frames = self._take_now(most_bytes)
            if not frames and self._changed.wait(timeout_s):
                frames = self._take_now(most_bytes)
            return frames

    def underflow(self) -> None:
        with self._changed:
            player, gap_s = self._audible(), self._pulls.told(time.perf_counter())
            if player is not None and gap_s is not None:
                player.count_device_gap(self._format.frames_in(gap_s))

    def lost(self, reason: str) -> None:
        with self._changed:
            player = self._player
            if player is not None and self._utterance is not None:
                frames, held = self._left(player)
                more = self._buffer_figures(player)
                self._report("lost", n=self._utterance.number, message=reason, frames=frames, held=held, **more)
                self._player = None
        self._device.distrust()

    def _look_for_gap(self, asked_bytes: int, player: Player | None) -> None:
        """Count what the device played that nobody gave it, whether it says so or not."""
        frames, in_sound = self._device.format.frames(asked_bytes), player is not None and player.in_sound
        gap_s = self._pulls.pulled(frames, self._last_pull_s, in_sound=in_sound)
        if gap_s is not None and player is not None:
            player.count_device_gap(self._format.frames_in(gap_s), late=True)

    def _take_now(self, most_bytes: int) -> bytes:
        self._last_pull_s = time.perf_counter()
        player = self._audible()
        if player is None:
            return b""
        frames = player.take(most_bytes)
        self._collect(player, self._last_pull_s)
        return frames

    def _audible(self) -> Player | None:
        """The player, once its device is open: the one before it, still being closed, must not take its frames."""
        return self._player if self._is_open else None

    # --- what the player noticed: called with the lock held ----------------------------------------------------

    def _is_current(self, number: int) -> bool:
        return self._utterance is not None and self._utterance.number == number

    def _collect(self, player: Player, now_s: float, *, cut_off: bool = False) -> None:
        assert self._utterance is not None
        while player.events:
            self._report_event(player.events.popleft(), player, self._utterance, now_s, cut_off)
        if player.state is PlayerState.ENDED and self._player is player:
            self._player = None
            self._idle_since_s = now_s
            self._changed.notify_all()

    def _report_event(
        self, event: PlayerEvent, player: Player, utterance: Utterance, now_s: float, cut_off: bool
    ) -> None:
        fmt = self._format
        left_at = now_s
        if self._device.keeps_time:  # elsewhere all of a block leaves at once
            left_at += fmt.seconds(event.block_offset_frames)
        more: dict[str, Any] = {}
        if event.type in (PlaybackEventType.UNDERRUN, PlaybackEventType.RESUMED):
            more["gap_s"] = fmt.seconds(event.gap_frames)
        elif event.type is PlaybackEventType.POSITION:
            more = self._buffer_figures(player)
        elif event.type is PlaybackEventType.ENDED:
            unheard = max(0, fmt.frames_in(self._device.latency_s) - player.silent_frames) if cut_off else 0
            more = self._buffer_figures(player)
            more["heard_frames"] = max(0, event.frame - unheard)
            more["underruns"] = player.underruns
        self._report(
            event.type.value,
            n=utterance.number,
            frames=event.frame,
            left_at_s=left_at,
            heard_at_s=left_at + self._device.latency_s,
            **more,
        )

    def _buffer_figures(self, player: Player) -> dict[str, Any]:
        mean, least = player.buffer_mean_frames, player.buffer_least_frames
        if mean is None or least is None:
            return {}
        return {"buffer_mean_s": mean / self._format.rate_hz, "buffer_least_s": self._format.seconds(least)}

    def _left(self, player: Player) -> tuple[int, int]:
        """How many frames have left, and how many of them may not have been heard yet."""
        if not self._device.keeps_time:
            return player.played_frames, 0
        most = max(player.drain_frames, self._format.frames_in(self._device.latency_s + IN_HANDS_S))
        return player.played_frames, min(player.played_frames, max(0, most - player.silent_frames))

    def _report(self, event: str, **fields: Any) -> None:
        self._reports.put({"event": event, **fields})

    # --- reports: their own thread -----------------------------------------------------------------------------

    def _report_forever(self) -> None:
        ticked_s = 0.0
        while True:
            try:
                report = self._reports.get(timeout=LOOK_S if self._tell_what_left() else TICK_S)
            except Empty:
                if time.perf_counter() - ticked_s >= TICK_S:
                    self._tick()
                    ticked_s = time.perf_counter()
                continue
            if report is None:
                return
            if report["event"] == "ended":
                self._close_file(report["n"])
            self._send(report)

    def _close_file(self, number: int) -> None:
        """The last block must be in the file before anybody is told that it is; the next one's file stays open."""
        if self._has_file(number):  # asked first: what was stopped as its device opened must not wait for that
            self._device.close_if(lambda: self._has_file(number))

    def _has_file(self, number: int) -> bool:
        with self._changed:
            return self._is_open and self._is_current(number) and not self._device.keeps_time

    def _tell_what_left(self) -> bool:
        """Tell how far the sound is, if that has changed; whether more may follow soon.

        Looked at from here and not told by the device's thread, whose time is short.
        """
        with self._changed:
            player = self._audible()
            if player is None or self._utterance is None:
                return False
            told, self._told = self._told, self._left(player)
            changed, number = self._told != told, self._utterance.number
            frames, held = self._told
        if changed:
            self._send({"event": "left", "n": number, "frames": frames, "held": held})
        return True

    def _tick(self) -> None:
        self._device.close_if(self._is_idle, patient=False)
        with self._changed:
            player, now_s, silent = self._audible(), time.perf_counter(), False
            if player is not None and self._utterance is not None:
                where = PlayerEvent(PlaybackEventType.POSITION, player.played_frames, 0)
                self._report_event(where, player, self._utterance, now_s, cut_off=False)
                silent = player.needs_device and now_s - self._last_pull_s > SILENT_DEVICE_S
        if silent:
            self.lost("the sound device stopped asking for sound")

    def _is_idle(self) -> bool:
        with self._changed:
            return self._player is None and time.perf_counter() - self._idle_since_s > IDLE_CLOSE_S
