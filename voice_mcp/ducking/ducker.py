"""Ducking: what other programs play is lowered while an agent speaks, and is afterwards as loud as it was.

A volume that was changed stays changed when whoever changed it dies. So what is lowered is on record before it is
lowered, several agents share the record, and the last of them who wants it puts everything back; after a crash whoever
comes next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from voice_mcp.protocols import LoweredRecord
from voice_mcp.types import LoweredStream

NEAR = 0.011
"""Two volumes that differ by less are the same: the sound server rounds."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A sound that a program plays now."""

    index: int
    key: str
    """What the sound server remembers its volume by."""
    volumes: tuple[float, ...]
    """A channel each; 1 is 100 % in a volume control."""
    to_be_lowered: bool
    """False for an agent's voice, and for somebody's on the telephone."""


class Mixer(Protocol):
    """The sound server's volume controls."""

    @property
    def server(self) -> str:
        """What tells this run of the sound server from any other; numbers of streams mean nothing beyond it."""
        ...

    def streams(self) -> list[Stream]:
        """Everything that is played."""
        ...

    def set_volumes(self, index: int, volumes: Sequence[float]) -> None:
        """Set a sound's volume; nothing happens when it is gone."""
        ...

    def remembered(self, key: str) -> tuple[float, ...]:
        """How loud the next sound with this key will be; empty when that is not known."""
        ...

    def remember(self, key: str, volumes: Sequence[float]) -> None:
        """Let the next sound with this key be as loud."""
        ...


class Ducker:
    """Lowers and restores.

    Args:
        mixer: The volume controls.
        record: What all processes of this user know of it.
        share: What is left of a volume.
    """

    def __init__(self, mixer: Mixer, record: LoweredRecord, share: float) -> None:
        self._mixer = mixer
        self._record = record
        self._share = share

    def lower(self) -> None:
        """Lower everything that is played and is not lowered yet; to be called again as new sounds begin.

        Raises:
            StorageError: It cannot be put on record, and so was not done.
        """
        with self._record.changing():
            self._record.want()
            known = self._record.read(self._mixer.server)
            if new := list(self._not_lowered(known)):
                self._record.write(self._mixer.server, [*known, *new])
                for stream in new:
                    self._mixer.set_volumes(stream.index, stream.lowered)

    def restore(self) -> None:
        """Put everything back, unless another process wants it lowered.

        Raises:
            StorageError: The record cannot be reached.
        """
        with self._record.changing():
            self._record.want_no_more()
            self._restore_if_unwanted()

    def mend(self) -> None:
        """Put back what was left lowered by processes that died.

        Raises:
            StorageError: The record cannot be reached.
        """
        with self._record.changing():
            self._restore_if_unwanted()

    def _not_lowered(self, known: Sequence[LoweredStream]) -> Iterator[LoweredStream]:
        numbers = {stream.index for stream in known}
        for stream in self._mixer.streams():
            if stream.to_be_lowered and stream.index not in numbers:
                before = self._true_volumes(stream, known)
                yield LoweredStream(stream.index, stream.key, before, tuple(one * self._share for one in before))

    def _true_volumes(self, stream: Stream, known: Sequence[LoweredStream]) -> tuple[float, ...]:
        """How loud it is meant to be: a program's next sound begins as loud as its last one was, lowered or not."""
        for before in known:
            if stream.key and before.key == stream.key and alike(stream.volumes, before.lowered):
                return before.before
        return stream.volumes

    def _restore_if_unwanted(self) -> None:
        known = self._record.read(self._mixer.server)
        if not known or self._record.is_wanted():
            return
        playing = {stream.index: stream for stream in self._mixer.streams()}
        for stream in known:
            now = playing.get(stream.index)
            if now is not None and alike(now.volumes, stream.lowered):  # else somebody has moved the control meanwhile
                self._mixer.set_volumes(stream.index, stream.before)
            if now is None and stream.key and alike(self._mixer.remembered(stream.key), stream.lowered):
                self._mixer.remember(stream.key, stream.before)
        self._record.write(self._mixer.server, [])


def alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two volumes are the same."""
    return len(one) == len(other) and all(abs(a - b) < NEAR for a, b in zip(one, other, strict=True))
