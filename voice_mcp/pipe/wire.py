"""The pipe between the server and an audio process: one byte of kind, four of length, then the payload.

Audio goes as it is, everything else as JSON. Reports come back as lines of JSON; one that says how many ``bytes``
belong to it is followed by them. Both sides run the same release on the same machine, so there is no
version to negotiate.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

OFFLINE = "--offline"
"""How an audio process is started that may reach no other machine."""

_HEADER = struct.Struct("<BI")


class Command(IntEnum):
    """What the server says to the audio process."""

    BEGIN = 1
    """A new utterance: its number, format, device and buffer policy. Frames follow once its device is open."""
    AUDIO = 2
    """Frames of the current utterance, raw, as the device takes them that was reported open."""
    FINISH = 3
    """No more frames will come."""
    STOP = 4
    """Fade out at once."""
    DEVICES = 5
    """Which devices are there?"""
    REST = 6
    """Nothing more is due for now."""
    RENEW = 7
    """The source begins anew."""
    CAPTURE = 8
    """Open a microphone: the number of the capture, the backends, the device. Reports with frames follow."""
    RELEASE = 9
    """Close the microphone."""


def pack(command: Command, payload: bytes | memoryview) -> bytes:
    """One message, ready to be written."""
    return b"".join((_HEADER.pack(command, len(payload)), payload))


def pack_json(command: Command, **fields: Any) -> bytes:
    """One message with a JSON payload."""
    return pack(command, json.dumps(fields).encode())


class Unpacker:
    """Cuts a byte stream into messages; takes the stream in pieces of any size."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Command, bytes]]:
        """Take the next bytes; yield the messages that are now whole."""
        self._pending += data
        start = 0
        while len(self._pending) - start >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._pending, start)
            end = start + _HEADER.size + size
            if len(self._pending) < end:
                break
            payload = bytes(self._pending[start + _HEADER.size : end])
            start = end
            yield Command(kind), payload
        del self._pending[:start]
