"""What a sound card got: every byte of it, and when it came."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable


class Capture:
    """Bytes with their times of arrival, put in by one thread and waited for by others.

    Times are ``time.perf_counter()`` seconds, which processes of one machine share on Linux, and belong to the block in
    which a byte came: what the card took at once arrives at once.

    Args:
        bytes_per_second: What the card takes; turns durations of silence into bytes.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._changed = threading.Condition()
        self._data = bytearray()
        self._starts: list[int] = []
        self._times_s: list[float] = []
        self._loud: tuple[int, int] | None = None
        self._ended = False

    # --- the thread that reads the card

    def append(self, data: bytes, arrived_s: float) -> None:
        """Take the next block."""
        with self._changed:
            offset = len(self._data)
            self._starts.append(offset)
            self._times_s.append(arrived_s)
            self._data += data
            if end := len(data.rstrip(b"\0")):
                first = self._loud[0] if self._loud else offset + len(data) - len(data.lstrip(b"\0"))
                self._loud = first, offset + end
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will come; whoever waits is told."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # --- everybody else

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._data.clear()
            self._starts.clear()
            self._times_s.clear()
            self._loud = None

    def data(self) -> bytes:
        """Everything since the beginning or the last ``clear``."""
        with self._changed:
            return bytes(self._data)

    def blocks(self) -> list[tuple[float, int]]:
        """When each block came (s) and at which byte it begins."""
        with self._changed:
            return list(zip(self._times_s, self._starts, strict=True))

    def arrived_s(self, offset: int) -> float:
        """When the byte at ``offset`` came."""
        with self._changed:
            return self._time_of(offset)

    @property
    def first_sound_s(self) -> float | None:
        """When the first byte that is not zero came."""
        with self._changed:
            return self._time_of(self._loud[0]) if self._loud else None

    @property
    def last_sound_s(self) -> float | None:
        """When the last byte so far that is not zero came."""
        with self._changed:
            return self._time_of(self._loud[1] - 1) if self._loud else None

    def wait_for(self, what: bytes | Callable[[bytes], bool], timeout_s: float) -> None:
        """Wait until these bytes are there, or until the predicate is true of everything there is.

        Raises:
            AssertionError: They did not come in time, or the card is gone.
        """
        if callable(what):
            predicate = what
            self._wait(lambda: predicate(bytes(self._data)), timeout_s, "what was waited for")
        else:
            self._wait(_Finder(self._data, what), timeout_s, f"{len(what)} bytes that were waited for")

    def wait_for_sound(self, timeout_s: float) -> float:
        """Wait for the first byte that is not zero; return when it came."""
        self._wait(lambda: self._loud is not None, timeout_s, "a sound")
        first_s = self.first_sound_s
        if first_s is None:
            raise AssertionError("the sound was cleared while it was waited for")
        return first_s

    def wait_for_silence(self, duration_s: float, timeout_s: float) -> None:
        """Wait until something was heard and has been followed by ``duration_s`` seconds of silence."""
        size = round(duration_s * self._bytes_per_second)
        self._wait(
            lambda: self._loud is not None and len(self._data) - self._loud[1] >= size,
            timeout_s,
            f"{duration_s} s of silence after a sound",
        )

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, timeout_s)
            if not condition():
                why = "the card is gone" if self._ended else f"not within {timeout_s} s"
                raise AssertionError(f"{what} did not reach the card: {why} ({len(self._data)} bytes came)")

    def _time_of(self, offset: int) -> float:
        if not 0 <= offset < len(self._data):
            raise IndexError(f"byte {offset} has not come: there are {len(self._data)}")
        return self._times_s[bisect_right(self._starts, offset) - 1]


class _Finder:
    """Looks for bytes in a growing buffer without looking at the same place twice."""

    def __init__(self, data: bytearray, what: bytes) -> None:
        self._data = data
        self._what = what
        self._from = 0

    def __call__(self) -> bool:
        # The buffer may have been cleared since.
        start = min(self._from, len(self._data))
        found = self._data.find(self._what, start) >= 0
        if not found:
            self._from = max(0, len(self._data) - len(self._what) + 1)
        return found
