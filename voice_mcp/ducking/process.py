"""The ducking process: lowers and restores as it is told on standard input, and restores when that ends.

It is a process of its own because it has to outlive its server: one that is killed cannot put anything back.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voice_mcp.ducking.ducker import Ducker
from voice_mcp.ducking.pulse import PulseMixer
from voice_mcp.errors import VoiceError
from voice_mcp.protocols import LoweredRecord

LOWER, RESTORE = b"L", b"R"
LOOK_EVERY_S = 0.25
"""How often it looks for sounds that have begun meanwhile, while somebody speaks."""
RESTORE_AFTER_S = 0.4
"""Another message may follow at once, and music that swells between two is worse than music that stays low."""


def run(record: LoweredRecord, share: float) -> None:
    """Obey until standard input ends."""
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to everybody; the server's end ends this one
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    servant = _Servant(record, share)
    servant.mend()
    try:
        servant.obey()
    finally:
        servant.restore()


class _Servant:
    def __init__(self, record: LoweredRecord, share: float) -> None:
        self._record = record
        self._share = share
        self._mixer: PulseMixer | None = None
        self._is_low = False
        self._restore_at_s: float | None = None
        self._complained = False

    def obey(self) -> None:
        """Read orders and carry them out."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            while True:
                ready = selector.select(LOOK_EVERY_S if self._is_low else None)
                if ready:
                    orders = os.read(sys.stdin.fileno(), 1 << 10)
                    if not orders:
                        return
                    self._take(orders[-1:])
                self._do_what_is_due()

    def mend(self) -> None:
        """Put back what others left."""
        self._with_mixer(Ducker.mend)

    def restore(self) -> None:
        """Put everything back."""
        if self._is_low:
            self._is_low = False
            self._with_mixer(Ducker.restore)

    def _take(self, order: bytes) -> None:
        if order == LOWER:
            self._restore_at_s, self._is_low = None, True
        elif self._is_low:
            self._restore_at_s = time.monotonic() + RESTORE_AFTER_S

    def _do_what_is_due(self) -> None:
        if self._restore_at_s is not None and time.monotonic() >= self._restore_at_s:
            self._restore_at_s = None
            self.restore()
        elif self._is_low:
            self._with_mixer(Ducker.lower)

    def _with_mixer(self, work: Callable[[Ducker], None]) -> None:
        with self._complaining():
            if self._mixer is None:
                self._mixer = PulseMixer()
            try:
                work(Ducker(self._mixer, self._record, self._share))
            except VoiceError:
                mixer, self._mixer = self._mixer, None  # the sound server may have gone; the next time finds another
                with contextlib.suppress(Exception):
                    mixer.close()
                raise

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """Say what is wrong once: music that stays loud is no reason to fill a log."""
        try:
            yield
        except VoiceError as exc:
            if not self._complained:
                self._complained = True
                sys.stderr.write(f"voice-mcp: {exc.advice}\n")
                sys.stderr.flush()
