"""What every encoder is given and what it owes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from voice_mcp.codecs.encoders.outputs import Output
from voice_mcp.types import PcmFormat


@dataclass(frozen=True, slots=True)
class EncodingJob:
    """What is to be encoded, and where to."""

    fmt: PcmFormat
    """The shape of the frames that will come."""
    output: Output
    bitrate: int
    """Bits per second; 0 for formats that have none to choose."""
    tags: Mapping[str, str]
    frames: int | None
    """How many frames will come, when that is known before the first."""


class Encoder(Protocol):
    """Frames in, bytes out: into the output of its job. One file in ``codecs/encoders/`` each.

    The bytes do not depend on how the frames were cut.
    """

    @property
    def rate_hz(self) -> int:
        """Frames per second that a decoder will give."""
        ...

    def encode(self, frames: bytes) -> None:
        """Take the next whole frames.

        Raises:
            CodecError: The library behind it failed.
            StorageError: The output could not be written.
        """
        ...

    def finish(self) -> None:
        """No more frames will come: write what was held back, and put the header right where that can be done.

        Raises:
            CodecError: The library behind it failed.
            StorageError: The output could not be written.
        """
        ...

    def abandon(self) -> None:
        """Give up in the middle. What was held back may be lost; what was written stays good."""
        ...


class Blocks:
    """Cuts frames into blocks of one size, whatever the pieces they come in.

    Args:
        block_bytes: Bytes of a block.
    """

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._rest = b""

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; give the blocks that are full."""
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % self._block_bytes
        # Before the first block goes out: a caller that fails on it must not see it twice.
        self._rest = data[whole:]
        for start in range(0, whole, self._block_bytes):
            yield data[start : start + self._block_bytes]

    def rest(self) -> bytes:
        """What is left over, less than a block. Ends the run."""
        rest, self._rest = self._rest, b""
        return rest


def lowest_rate_for(rate_hz: int, choices: Sequence[int]) -> int:
    """The lowest rate of ``choices`` that loses nothing of ``rate_hz``, or the highest there is."""
    return min((choice for choice in choices if choice >= rate_hz), default=max(choices))
