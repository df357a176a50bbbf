"""What the listening process has to tell, in order, on its way through the pipe.

The device's thread puts frames in and never waits; a thread of its own takes them out and waits as long as the server
reads nothing. What a microphone gives by 10 or 20 ms goes out by ``PIECE_S``, and while nothing stirs by ``LARGEST_S``:
to be woken costs the server more than to look at what has come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

from voice_mcp.capture.stir import Stir
from voice_mcp.pipe.process import Send
from voice_mcp.types import PcmFormat

PIECE_S = 0.040
LARGEST_S = 0.120
"""The most that goes out at once: in a quiet room, and when there is a backlog."""
HELD_S = 60.0
"""How much is held for a server that reads nothing. What comes beyond that is lost, and the server told so."""
TICK_S = 0.25
LAST_REPORTS_S = 0.1
"""How long the last reports may take to go out; a server that does not read them must not keep this process alive."""


@dataclass(slots=True)
class _Piece:
    """Frames of one capture without a hole."""

    number: int
    fmt: PcmFormat
    heard_at_s: float
    after_loss: bool
    frames: bytearray

    @property
    def duration_s(self) -> float:
        return self.fmt.seconds(self.fmt.frames(len(self.frames)))


class Outbox:
    """Reports on their way to the server.

    Args:
        send: Sends one report; called from one thread only.
        on_tick: Called, from that thread, when there was nothing to send for ``TICK_S``.
        held_s: How much sound is held, in seconds.
    """

    def __init__(self, send: Send, on_tick: Callable[[], None], held_s: float = HELD_S) -> None:
        self._send = send
        self._on_tick = on_tick
        self._held_s = held_s
        self._changed = Condition()
        self._waiting: deque[_Piece | dict[str, Any]] = deque()
        self._closing = False
        self._waiting_s = 0.0
        self._number: int | None = None  # of the capture of which the latest frames are
        self._stir = Stir()
        self._reporter = Thread(target=self._report_forever, name="reports", daemon=True)
        self._reporter.start()

    def put(self, event: str, **fields: Any) -> None:
        """Tell this, after all that was put in before. Returns at once."""
        with self._changed:
            self._waiting.append({"event": event, **fields})
            self._changed.notify()

    def put_frames(self, number: int, fmt: PcmFormat, frames: bytes, heard_at_s: float, *, after_loss: bool) -> bool:
        """Tell what was heard. Returns at once; whether there was room.

        Args:
            number: Of the capture.
            fmt: The shape of the frames.
            frames: The next.
            heard_at_s: When the first of them was heard.
            after_loss: Whether some before them were lost.
        """
        with self._changed:
            if number != self._number:
                self._number, self._stir = number, Stir()
            self._stir.add(frames, fmt)
            if self._waiting_s >= self._held_s:
                return False
            piece = self._waiting[-1] if self._waiting else None
            if not isinstance(piece, _Piece) or piece.number != number or after_loss or piece.duration_s >= LARGEST_S:
                piece = _Piece(number, fmt, heard_at_s, after_loss, bytearray())
                self._waiting.append(piece)
            # A block that was held up is told with the moment it came: the earliest that any of them says is right.
            piece.heard_at_s = min(piece.heard_at_s, heard_at_s - piece.duration_s)
            piece.frames += frames
            self._waiting_s += fmt.seconds(fmt.frames(len(frames)))
            if self._is_due():
                self._changed.notify()
        return True

    def close(self) -> None:
        """Send what is left, as far as it goes out soon."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._reporter.join(LAST_REPORTS_S)

    # --- the reports thread ------------------------------------------------------------------------------------

    def _report_forever(self) -> None:
        while not (self._closing and not self._waiting):
            entry = self._take()
            if entry is None:
                self._on_tick()
            elif isinstance(entry, _Piece):
                self._send(_described(entry), bytes(entry.frames))
            else:
                self._send(entry)

    def _take(self) -> _Piece | dict[str, Any] | None:
        """Wait for what is to go out next; None where that takes too long."""
        with self._changed:
            self._changed.wait_for(self._is_due, TICK_S)
            if not self._waiting:
                return None
            entry = self._waiting.popleft()
            if isinstance(entry, _Piece):
                self._waiting_s -= entry.duration_s
            return entry

    def _is_due(self) -> bool:
        """Whether something is to go out now: called with the lock held."""
        if not self._waiting:
            return self._closing
        first, enough_s = self._waiting[0], PIECE_S if self._stir.is_there else LARGEST_S
        return len(self._waiting) > 1 or not isinstance(first, _Piece) or first.duration_s >= enough_s


def _described(piece: _Piece) -> dict[str, Any]:
    report = {"event": "heard", "n": piece.number, "at_s": round(piece.heard_at_s, 6)}
    return {**report, "after_loss": True} if piece.after_loss else report
