"""FLAC as it arrives: a block is decoded when the next one begins, and damaged blocks become as much silence.

Source: RFC 9639. The sections in front of the frames are read for the STREAMINFO and skipped; every frame carries its
number, so what is lost is known to the sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voice_mcp.codecs._av import PacketDecoder
from voice_mcp.codecs.flac_frames import (
    MOST_HEADER_BYTES,
    STREAMINFO_BYTES,
    Crc16,
    FlacHeader,
    FlacHeaderReader,
    StreamInfo,
)
from voice_mcp.codecs.progressive import MOST_LOST_BYTES, ProgressiveDecoder
from voice_mcp.errors import NotAudio
from voice_mcp.types import PcmFormat

MARKER = b"fLaC"
MOST_SILENCE_S = 10.0
"""What is missing for longer than this is not lost on the way: the numbers are wrong."""

_BLOCK_HEADER_BYTES = 4
_BOUNDARY = re.compile(rb"\xff[\xf8\xf9]|fLaC[\x00\x80]\x00\x00\x22")
"""What a frame begins with, or a stream."""


class FlacDecoder(ProgressiveDecoder):
    """A ``Decoder`` for native FLAC; files that were simply joined play one after the other."""

    def __init__(self) -> None:
        super().__init__("FLAC")
        self._buffer = bytearray()
        self._metadata_at: int | None = 0  # where the next metadata block begins; None among the frames
        self._info = b""
        self._packets: PacketDecoder | None = None
        self._reader: FlacHeaderReader | None = None
        self._crc16 = Crc16()
        self._frame: FlacHeader | None = None  # the frame that begins where the buffer does
        self._scanned = 0
        self._next_sample: int | None = None
        self._ended = False

    @property
    def format(self) -> PcmFormat | None:
        return self._packets.format if self._packets else None

    def _frames(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while True:
            if self._metadata_at is not None:
                if not self._read_metadata():
                    return
            elif (size_bytes := self._next_boundary()) is None:
                return
            else:
                yield self._take(size_bytes)

    def _last_frames(self) -> Iterator[bytes]:
        self._ended = True
        yield from self._frames(b"")
        if self._frame is not None:
            yield self._decode(bytes(self._buffer), self._frame, exact=False)
        elif self._buffer and self._metadata_at is None:
            self._note_damage(f"{len(self._buffer)} bytes at the end are no frame")
        if self._packets is not None:
            yield self._packets.flush()

    # --- metadata ----------------------------------------------------------------------------------------------

    def _read_metadata(self) -> bool:
        """Skip what stands before the frames; whether all of it was there."""
        at = self._metadata_at
        assert at is not None
        if at == 0:
            if len(self._buffer) < len(MARKER):
                return False
            if not self._buffer.startswith(MARKER):
                raise NotAudio("What arrived is not FLAC audio.")
            at = len(MARKER)
        while len(self._buffer) >= at + _BLOCK_HEADER_BYTES:
            kind, size_bytes = self._buffer[at], int.from_bytes(self._buffer[at + 1 : at + 4], "big")
            end = at + _BLOCK_HEADER_BYTES + size_bytes
            if end > MOST_LOST_BYTES:
                raise NotAudio("The FLAC header does not end.")
            if len(self._buffer) < end:
                break
            if kind & 0x7F == 0:
                self._info = bytes(self._buffer[at + _BLOCK_HEADER_BYTES : end])
            if kind & 0x80:
                self._begin_frames(end)
                return True
            at = end
        self._metadata_at = at
        return False

    def _begin_frames(self, at: int) -> None:
        if len(self._info) != STREAMINFO_BYTES:
            raise NotAudio("The FLAC audio does not say its format.")
        if self._packets is None:
            self._packets = PacketDecoder(
                "flac", self.encoding, extradata=self._info, options={"err_detect": "crccheck+explode"}
            )
        else:
            self._packets.restart(self._info)
        self._reader = FlacHeaderReader(StreamInfo.parse(self._info))
        del self._buffer[:at]
        self._metadata_at, self._frame, self._scanned, self._next_sample = None, None, 0, None

    # --- frames ------------------------------------------------------------------------------------------------

    def _next_boundary(self) -> int | None:
        """Where behind the current frame something begins that is a frame or a stream; None until more bytes come."""
        settled = len(self._buffer) - (0 if self._ended else MOST_HEADER_BYTES - 1)
        at = max(self._scanned, 1 if self._frame is not None else 0)
        while (at := self._candidate(at)) < settled:
            if at > MOST_LOST_BYTES:
                break
            if self._begins(at):
                return at
            at += 1
        self._scanned = max(self._scanned, min(at, settled))
        if self._scanned > MOST_LOST_BYTES:
            raise NotAudio("What arrived is not FLAC audio, or damaged beyond use.")
        return None

    def _candidate(self, at: int) -> int:
        """Where from ``at`` on something looks like a boundary."""
        found = _BOUNDARY.search(self._buffer, at)
        return found.start() if found else len(self._buffer)

    def _begins(self, at: int) -> bool:
        """Whether a stream begins at ``at``, or a frame that can follow the current one."""
        if self._buffer.startswith(MARKER, at):
            return True
        header = self._header(at)
        if header is None:
            return False
        return self._frame is None or 0 < header.first_sample - self._frame.first_sample <= self._most_silence()

    def _take(self, size_bytes: int) -> bytes:
        """Cut off what stands before the boundary, and play it if it is a frame."""
        data, frame = bytes(self._buffer[:size_bytes]), self._frame
        del self._buffer[:size_bytes]
        self._scanned = 0
        if self._buffer.startswith(MARKER):
            following, self._metadata_at = None, 0
        else:
            following = self._header(0)
        self._frame = following
        if frame is None:
            if data:
                self._note_damage(f"{len(data)} bytes are no frame", len(data))
                self._next_sample = self._next_sample or 0
            return b""
        exact = following is None or following.first_sample == frame.first_sample + frame.samples
        return self._decode(data, frame, exact=exact)

    def _decode(self, data: bytes, header: FlacHeader, *, exact: bool) -> bytes:
        """The frames of a block, with silence in front for what is missing before it.

        Args:
            data: The block, and more behind it unless ``exact``.
            header: What its header says.
            exact: Whether ``data`` ends where the block does.
        """
        frames = self._decode_block(data, [len(data)] if exact else self._crc16.ends(data))
        if self._next_sample is None:
            self._next_sample = header.first_sample
        fmt = self.format
        if fmt is None:
            return b""
        missing = header.first_sample - self._next_sample
        silence = bytes(missing * fmt.frame_bytes) if 0 < missing <= self._most_silence() else b""
        self._next_sample = header.first_sample + header.samples
        return silence + (bytes(header.samples * fmt.frame_bytes) if frames is None else frames)

    def _decode_block(self, data: bytes, ends: list[int]) -> bytes | None:
        """The frames of the block that ``data`` begins with and that ends at one of ``ends``; None if it is damaged."""
        assert self._packets is not None
        for end in ends:
            if frames := self._packets.decode(data[:end]):
                self._note_good()
                if end < len(data):
                    self._note_damage("there are bytes between blocks")
                return frames
        self._note_damage("a block cannot be decoded", len(data))
        return None

    def _header(self, at: int) -> FlacHeader | None:
        assert self._reader is not None
        return self._reader.read(self._buffer, at)

    def _most_silence(self) -> int:
        """The longest stretch that is taken to be lost, in samples per channel."""
        return int(MOST_SILENCE_S * 192_000) if self.format is None else self.format.frames_in(MOST_SILENCE_S)
