"""What was handed over and has not been heard: kept, so that no device can take it along when it goes."""

from __future__ import annotations

from collections import deque

from voice_mcp.types import PcmFormat


class Ledger:
    """The blocks of one run of frames until they have been heard, and for a while after. Pure: no clock, no pipe.

        handed over ──▶ waiting ──▶ under way ──▶ heard ──▶ forgotten
                           ▲            │           │
                           └── rewind ──┴─ go_back ─┘

    All positions are frames from the beginning. What is kept is bounded by whoever adds: no more than may be under way,
    with what the device holds, the margin, the memory, and two blocks.

    Args:
        fmt: The shape of the frames.
        margin_frames: How many frames before the place where the sound stopped are given once more: the fade with which
            it goes on lies on these, and no frame is heard faded alone.
        memory_frames: How many more that were heard are kept, to be heard again if somebody goes back.
    """

    def __init__(self, fmt: PcmFormat, margin_frames: int = 0, memory_frames: int = 0) -> None:
        self._fmt = fmt
        self._margin_frames = margin_frames
        self._memory_frames = memory_frames
        self._waiting: deque[bytes] = deque()
        self._given: deque[bytes] = deque()  # under way, and heard but not forgotten
        self._kept_from_frame = 0
        self.added_frames = 0
        """How many were handed over in all."""
        self.left_frames = 0
        """How many had left for the device, as far as is known; less after a rewind."""
        self.heard_frames = 0
        """How many have been heard for sure; less after going back."""

    @property
    def unheard_frames(self) -> int:
        """How many were handed over and may not have been heard."""
        return self.added_frames - self.heard_frames

    @property
    def kept_frames(self) -> int:
        """How many are kept."""
        return self.added_frames - self._kept_from_frame

    def add(self, block: bytes) -> None:
        """Take the next block: whole frames."""
        self._waiting.append(block)
        self.added_frames += self._fmt.frames(len(block))

    def take(self) -> bytes | None:
        """The next block that is to be sent; None when all of them are under way."""
        if not self._waiting:
            return None
        block = self._waiting.popleft()
        self._given.append(block)
        return block

    def note(self, left_frames: int, heard_frames: int) -> None:
        """So many frames have left for the device by now, and so many of them have been heard."""
        self.left_frames = max(self.left_frames, left_frames)
        self.heard_frames = max(self.heard_frames, heard_frames)
        wanted_from = self.heard_frames - self._margin_frames - self._memory_frames
        while self._given:
            end = self._kept_from_frame + self._fmt.frames(len(self._given[0]))
            if end > wanted_from:
                break
            self._given.popleft()
            self._kept_from_frame = end

    def rewind(self) -> int:
        """The device is gone: everything that was not heard waits again.

        Returns:
            The frame with which ``take`` goes on.
        """
        frame = max(self._kept_from_frame, self.heard_frames - self._margin_frames)
        start = self._kept_from_frame + sum(self._fmt.frames(len(block)) for block in self._given)
        while start > frame:
            block = self._given.pop()
            start -= self._fmt.frames(len(block))
            if start < frame:
                cut = (frame - start) * self._fmt.frame_bytes
                self._given.append(block[:cut])
                block, start = block[cut:], frame
            self._waiting.appendleft(block)
        self.left_frames = frame
        return frame

    def go_back(self, frame: int) -> int:
        """Everything from ``frame`` on is to be heard again, as far back as is remembered.

        Returns:
            The frame with which ``take`` goes on.
        """
        self.heard_frames = max(self._kept_from_frame, min(frame, self.heard_frames))
        return self.rewind()

    def heard_last(self) -> bytes:
        """The last of what was heard, as far back as is remembered."""
        return b"".join(self._given)[: (self.heard_frames - self._kept_from_frame) * self._fmt.frame_bytes]
