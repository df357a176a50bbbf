"""What all decoders of compressed audio have in common: damage is survived and counted, and there is an end to it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from voice_mcp.errors import CodecError, NotAudio
from voice_mcp.types import PcmFormat

logger = logging.getLogger(__name__)

MOST_LOST_BYTES = 1 << 20
"""So many bytes in a row without a frame among them are no audio; at 128 kbit/s they would be a minute of it."""
MOST_FRAMES_BYTES = 64 << 20
"""One block of input that turns into more than this (six minutes in stereo) was made to fill the memory."""


class ProgressiveDecoder(ABC):
    """A ``Decoder`` that skips what is damaged, says so once in the log, and goes on.

    A stream that turns out to be no audio after all raises ``NotAudio``; frames found before that point are returned
    first, and the error is raised by the next call.

    Args:
        encoding: What the stream is called in messages: ``MP3``, ``FLAC``, ...
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.decode_errors = 0
        self._began = False
        self._heard = False
        self._lost_bytes = 0
        self._failure: CodecError | None = None

    @property
    @abstractmethod
    def format(self) -> PcmFormat | None: ...

    @abstractmethod
    def _frames(self, data: bytes) -> Iterator[bytes]:
        """The frames that are known after these bytes, in pieces; may ``_note_damage`` and raise ``NotAudio``."""

    @abstractmethod
    def _last_frames(self) -> Iterator[bytes]:
        """What is left when no more bytes will come."""

    def decode(self, data: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        self._began = self._began or bool(data)
        return self._collect(self._frames(data))

    def flush(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        frames = self._collect(self._last_frames())
        if self._began and not self._heard:
            raise NotAudio(f"What arrived holds no {self.encoding} audio.")
        return frames

    def _note_damage(self, what: str, lost_bytes: int = 0) -> None:
        """Count one damaged stretch; the first of a stream is worth a line in the log.

        Args:
            what: What is wrong.
            lost_bytes: How long the stretch is, where frame after frame could be like that.

        Raises:
            NotAudio: Nothing was good for ``MOST_LOST_BYTES`` bytes.
        """
        if not self.decode_errors:
            logger.warning("%s audio is damaged: %s. What can be heard of it is played.", self.encoding, what)
        self.decode_errors += 1
        self._lost_bytes += lost_bytes
        if self._lost_bytes > MOST_LOST_BYTES:
            raise NotAudio(f"The {self.encoding} audio is damaged beyond use.")

    def _note_good(self) -> None:
        """A frame was whole."""
        self._lost_bytes = 0

    def _collect(self, pieces: Iterable[bytes]) -> bytes:
        out = bytearray()
        try:
            for piece in pieces:
                out += piece
                if len(out) > MOST_FRAMES_BYTES:
                    raise NotAudio(f"The {self.encoding} audio claims to be longer than it can be.")
        except CodecError as exc:
            self._failure = exc
            if not out:
                raise
        self._heard = self._heard or bool(out)
        return bytes(out)
