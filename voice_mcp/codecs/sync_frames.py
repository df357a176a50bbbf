"""Cuts streams whose frames begin with a sync word and say how long they are (MPEG audio, ADTS).

A sync word can occur by chance, so a header counts when it stands where the last frame ended and looks like its own, or
when another one like it stands where its frame ends. What lies between frames is skipped: quietly when it is a tag,
as damage otherwise. Every decision depends on the bytes alone, never on how they were cut.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from voice_mcp.codecs.progressive import MOST_LOST_BYTES
from voice_mcp.codecs.tags import tag_bytes
from voice_mcp.errors import NotAudio


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the first bytes of a frame say."""

    size_bytes: int
    """The whole frame, header included."""
    samples: int
    """Samples per channel in it."""
    kind: Hashable
    """What all frames of a stream have in common."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, whole."""

    header: FrameHeader
    data: bytes
    """Header included."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame."""

    size_bytes: int


class SyncFrameCutter:
    """Bytes in, frames and gaps out.

    Args:
        read_header: The header that begins at an offset; None when none does. It is given ``header_bytes`` bytes.
        header_bytes: How much of a frame ``read_header`` needs.
    """

    def __init__(self, read_header: Callable[[bytes | bytearray, int], FrameHeader | None], header_bytes: int) -> None:
        self._read_header = read_header
        self._header_bytes = header_bytes
        self._buffer = bytearray()
        self._skip_bytes = 0
        self._lost_bytes = 0
        self._in_place = True  # whether a frame or a tag is due right here
        self._last: FrameHeader | None = None
        self._ended = False

    def cut(self, data: bytes) -> Iterator[Frame | Gap]:
        """The frames that are whole after these bytes.

        Raises:
            NotAudio: No frame has come for ``MOST_LOST_BYTES`` bytes.
        """
        self._buffer += data
        at = 0
        try:
            while (step := self._step(at)) is not None:
                size_bytes, found = step
                at += size_bytes
                yield from found
        finally:
            del self._buffer[:at]

    def finish(self) -> Iterator[Frame | Gap]:
        """What is left when no more bytes will come; half a frame is a gap."""
        self._ended = True
        yield from self.cut(b"")
        if lost := self._lost_bytes + len(self._buffer):
            self._buffer.clear()
            self._lost_bytes = 0
            yield Gap(lost)

    def _step(self, at: int) -> tuple[int, list[Frame | Gap]] | None:
        """How many bytes from ``at`` on are settled, and what they are; None until more bytes come."""
        left = len(self._buffer) - at
        if self._skip_bytes:
            skipped = min(self._skip_bytes, left)
            self._skip_bytes -= skipped
            return (skipped, []) if skipped else None
        if self._in_place:
            tag = tag_bytes(self._buffer, at)
            if tag is None and not self._ended:
                return None
            if tag:
                self._skip_bytes = tag
                return 0, []
        if left < self._header_bytes:
            return None
        header = self._read_header(self._buffer, at)
        verdict = self._is_frame(at, header) if header else False
        if verdict is None:
            return None
        return self._take(at, header) if header and verdict else (self._lose(at), [])

    def _is_frame(self, at: int, header: FrameHeader) -> bool | None:
        """Whether it really is a frame, and whole; None until more bytes come."""
        end = at + header.size_bytes
        if self._in_place and self._last is not None and header.kind == self._last.kind:
            return len(self._buffer) >= end or (False if self._ended else None)
        tag = tag_bytes(self._buffer, end) if len(self._buffer) > end else 0
        if self._ended and (tag is None or len(self._buffer) == end):
            return True
        if tag is None or len(self._buffer) < end + self._header_bytes:
            return False if self._ended else None
        following = self._read_header(self._buffer, end)
        return tag > 0 or (following is not None and following.kind == header.kind)

    def _take(self, at: int, header: FrameHeader) -> tuple[int, list[Frame | Gap]]:
        found: list[Frame | Gap] = [Gap(self._lost_bytes)] if self._lost_bytes else []
        found.append(Frame(header, bytes(self._buffer[at : at + header.size_bytes])))
        self._lost_bytes, self._in_place, self._last = 0, True, header
        return header.size_bytes, found

    def _lose(self, at: int) -> int:
        """Give up the byte at ``at`` and all up to where the next frame could begin; how many that were."""
        candidate = self._buffer.find(0xFF, at + 1)
        size_bytes = (candidate if candidate >= 0 else len(self._buffer)) - at
        self._in_place = False
        self._lost_bytes += size_bytes
        if self._lost_bytes > MOST_LOST_BYTES:
            raise NotAudio("What arrived is not audio, or damaged beyond use.")
        return size_bytes
