"""A microphone that hears what a test says: a source of a private PulseAudio, fed in real time from a pipe.

    say(pcm) ─▶ feeder thread, 10 ms at a time ─▶ FIFO ─▶ pipe source ─▶ process under test
                                                                └──────▶ a listener that keeps the source running

The source has no clock of its own, it passes on what the feeder writes: nothing is resampled or dropped, so a client
that asks for the same rate and as many channels gets every sample once and in order. Between what is said there is
silence, or a low noise. Time goes on whether or not anybody listens, and while the sound server is gone.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from array import array
from collections import deque
from pathlib import Path

PERIOD_S = 0.010
FIFO_BYTES = 4096
"""As little as a pipe can hold: what waits in it is what the microphone heard too long ago."""
NOISE_S = 1.0
"""After this much the noise repeats."""


class Saying:
    """Something that is said, once or for ever. Times are ``time.perf_counter()`` seconds."""

    def __init__(self, pcm: bytes, *, repeat: bool) -> None:
        self.pcm = pcm
        self.repeat = repeat
        self._begun = threading.Event()
        self._over = threading.Event()
        self._begun_s = self._over_s = 0.0

    def begun_s(self, timeout_s: float) -> float:
        """Wait for its first sample; return when that was in the air."""
        if not self._begun.wait(timeout_s):
            raise AssertionError(f"it was not said within {timeout_s} s")
        return self._begun_s

    def over_s(self, timeout_s: float) -> float:
        """Wait for its end; return when its last sample was in the air."""
        if not self._over.wait(timeout_s):
            raise AssertionError(f"it was not said to its end within {timeout_s} s")
        return self._over_s

    def begin(self, at_s: float) -> None:
        """Thread: the feeder."""
        if not self._begun.is_set():
            self._begun_s = at_s
            self._begun.set()

    def end(self, at_s: float) -> None:
        """Thread: the feeder."""
        self._over_s = at_s
        self._over.set()


class VirtualMicrophone:
    """What ``PulseCard.microphone`` gives. Feeds until it is told to stop.

    Args:
        rate_hz: Of what is said.
        channels: Of what is said.
        noise: The highest magnitude of the noise between the words, of 32767; 0 for digital silence.
    """

    def __init__(self, name: str, rate_hz: int, channels: int, noise: int = 0) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.channels = channels
        self._frame_bytes = 2 * channels
        self._block_frames = round(rate_hz * PERIOD_S)
        self._quiet = _noise(round(rate_hz * NOISE_S) * channels, noise)
        self._quiet_at = 0
        self._lock = threading.Condition()
        self._sayings: deque[Saying] = deque()
        self._at = 0  # of the saying in front, in bytes
        self._fifo: int | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._feed, name=f"microphone {name}", daemon=True)

    def say(self, pcm: bytes) -> Saying:
        """Say these frames after whatever is still to be said."""
        return self._add(Saying(pcm, repeat=False))

    def say_forever(self, pcm: bytes) -> Saying:
        """Say these frames over and over, until ``hush``."""
        return self._add(Saying(pcm, repeat=True))

    def hush(self) -> None:
        """Say nothing more; what was begun breaks off."""
        with self._lock:
            for saying in self._sayings:
                saying.end(time.perf_counter())
            self._sayings.clear()
            self._at = 0
            self._lock.notify_all()

    def wait_until_said(self, timeout_s: float) -> float:
        """Wait until everything has been said; return when the last sample was in the air."""
        with self._lock:
            sayings = list(self._sayings)
            if not self._lock.wait_for(lambda: not self._sayings, timeout_s):
                raise AssertionError(f"the microphone was not told everything within {timeout_s} s")
        return sayings[-1].over_s(0) if sayings else time.perf_counter()

    # --- the card ---------------------------------------------------------------------------------------------

    def plug_in(self, fifo: Path) -> None:
        """Feed this pipe from now on."""
        end = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        _shrink(end)
        with self._lock:
            self._let_go()
            self._fifo = end
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Feed nothing more."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._let_go()

    # --- the feeder -------------------------------------------------------------------------------------------

    def _add(self, saying: Saying) -> Saying:
        with self._lock:
            self._sayings.append(saying)
        return saying

    def _feed(self) -> None:
        start_s, fed_frames, late = time.perf_counter(), 0, b""
        with self._lock:
            while not self._stopped:
                due_s = start_s + (fed_frames + self._block_frames) / self.rate_hz
                # A block is complete when its last frame was in the air, as with a real card.
                if self._lock.wait_for(lambda: self._stopped, max(0.0, due_s - time.perf_counter())):
                    return
                late = self._write(late + self._next_block(due_s - self._block_frames / self.rate_hz))
                fed_frames += self._block_frames

    def _next_block(self, at_s: float) -> bytes:
        """The next block, whose first frame is in the air at ``at_s``."""
        block, size = bytearray(), self._block_frames * self._frame_bytes
        while len(block) < size and self._sayings:
            saying = self._sayings[0]
            saying.begin(at_s + len(block) / self._frame_bytes / self.rate_hz)
            piece = saying.pcm[self._at : self._at + size - len(block)]
            block += piece
            self._at += len(piece)
            if self._at >= len(saying.pcm):
                self._at = 0
                if not saying.repeat:
                    saying.end(at_s + len(block) / self._frame_bytes / self.rate_hz)
                    self._sayings.popleft()
                    self._lock.notify_all()
        return bytes(block) + self._silence(size - len(block))

    def _silence(self, size: int) -> bytes:
        silence = b""
        while len(silence) < size:
            piece = self._quiet[self._quiet_at : self._quiet_at + size - len(silence)]
            silence += piece
            self._quiet_at = (self._quiet_at + len(piece)) % len(self._quiet)
        return silence

    def _write(self, data: bytes) -> bytes:
        """Write what the pipe takes; what it does not take yet waits, for nothing may be lost."""
        if self._fifo is None:
            return b""
        try:
            while data:
                data = data[os.write(self._fifo, data) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # the sound server is gone, and hears nothing
            self._let_go()
            return b""
        return data

    def _let_go(self) -> None:
        if self._fifo is not None:
            os.close(self._fifo)
            self._fifo = None


def _noise(samples: int, most: int) -> bytes:
    if not most:
        return bytes(2 * samples)
    source = random.Random(samples)
    return array("h", [source.randint(-most, most) for _ in range(samples)]).tobytes()


def _shrink(pipe: int) -> None:
    import fcntl  # not on Windows, where this module is imported only to be skipped

    resize = getattr(fcntl, "F_SETPIPE_SZ", None)
    if resize is not None:
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(pipe, resize, FIFO_BYTES)
