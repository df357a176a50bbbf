"""The packets of one kind of sound in an Ogg stream, page by page, and what the page times say about them.

Source: RFC 3533 sections 3 to 6; RFC 7845 section 4 for the meaning of granule positions. Streams that follow one
another in a file (chaining) are played one after the other; others that run beside (multiplexing) are left out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from voice_mcp.codecs.ogg_pages import Page, PageReader
from voice_mcp.codecs.progressive import MOST_LOST_BYTES, ProgressiveDecoder
from voice_mcp.errors import NotAudio

MOST_SILENCE_S = 10
"""What is missing for longer than this is not lost on the way: the page times are wrong."""


@dataclass(frozen=True, slots=True)
class PacketGroup:
    """The packets that end on one page."""

    packets: tuple[bytes, ...]
    granule: int | None
    """Where the last of them ends, in samples per channel; None when none does."""
    first: bool
    """Whether a stream begins here."""
    last: bool
    """Whether it ends here."""
    damage: str
    """What was lost before them; empty when nothing was."""


class PacketReader:
    """Bytes in, packets out.

    Args:
        magic: What the first packet of the wanted kind of stream begins with.
    """

    def __init__(self, magic: bytes) -> None:
        self._magic = magic
        self._pages = PageReader()
        self._serial: int | None = None
        self._sequence = 0
        self._begun: bytearray | None = None  # the packet that goes on in the next page
        self._damage = ""
        self._useful_to = 0

    def read(self, data: bytes) -> Iterator[PacketGroup]:
        """What is whole after these bytes, one group a page.

        Raises:
            NotAudio: There are no pages, or none with packets of the wanted kind.
        """
        for page in self._pages.read(data):
            if page.lost_bytes:
                self._damage = f"{page.lost_bytes} bytes are no page"
            if page.first and page.pieces and page.pieces[0].startswith(self._magic):
                self._serial, self._sequence, self._begun = page.serial, page.sequence, None
            if page.serial == self._serial:
                group = self._group(page)
                self._useful_to = page.end_bytes if group.packets else self._useful_to
                yield group
            if page.end_bytes - self._useful_to > MOST_LOST_BYTES:
                raise NotAudio("What arrived is Ogg with no sound in it that can be played.")

    @property
    def rest_bytes(self) -> int:
        """Bytes since the last page."""
        return self._pages.rest_bytes

    def _group(self, page: Page) -> PacketGroup:
        in_order = page.sequence == self._sequence
        if not in_order:
            self._damage = self._damage or "pages are missing"
            self._begun = None
        elif page.continued != (self._begun is not None):
            self._damage = self._damage or "a packet is cut off"
            self._begun = None
        self._sequence = (page.sequence + 1) & 0xFFFFFFFF
        packets = tuple(self._packets(page))
        damage, self._damage = self._damage, ""
        return PacketGroup(packets, page.granule, page.first, page.last, damage)

    def _packets(self, page: Page) -> Iterator[bytes]:
        last = len(page.pieces) - 1
        for index, piece in enumerate(page.pieces):
            if page.continued and index == 0 and self._begun is None:
                continue  # its beginning was lost
            begun, self._begun = self._begun or bytearray(), None
            begun += piece
            if page.open_ended and index == last:
                self._begun = begun
            else:
                yield bytes(begun)


@dataclass(frozen=True, slots=True)
class Timing:
    """What to do with the frames of a page, in samples per channel."""

    missing: int = 0
    """Lost before them: to be filled with silence."""
    early: int = 0
    """At their beginning, before the stream's own: not to be heard where the format says so."""
    surplus: int = 0
    """At their end, behind the stream's end: not to be heard."""


class Timeline:
    """Where in a stream the frames are.

    Args:
        rate_hz: Granule positions a second.
    """

    def __init__(self, rate_hz: int) -> None:
        self._most_missing = MOST_SILENCE_S * rate_hz
        self._position: int | None = None

    def place(self, samples: int, group: PacketGroup, *, damaged: bool) -> Timing:
        """What the time of a page says about the frames of its packets.

        Args:
            samples: How many there are, per channel.
            group: The packets.
            damaged: Whether some were lost.
        """
        if group.granule is None:
            return Timing()
        first = self._position is None
        # A stream may be joined in the middle, so only damage shows that a late start is a loss.
        position = self._position or (0 if damaged else max(0, group.granule - samples) if first else 0)
        self._position = group.granule
        difference = group.granule - (position + samples)
        if difference >= 0:
            return Timing(missing=difference if damaged and difference <= self._most_missing else 0)
        if group.last:
            return Timing(surplus=min(-difference, samples))
        return Timing(early=min(-difference, samples) if first else 0)


class OggDecoder(ProgressiveDecoder):
    """What decoders of sound in Ogg have in common.

    Args:
        encoding: What the stream is called in messages.
        magic: What its first packet begins with.
    """

    def __init__(self, encoding: str, magic: bytes) -> None:
        super().__init__(encoding)
        self._reader = PacketReader(magic)

    @abstractmethod
    def _play(self, group: PacketGroup) -> bytes:
        """The frames of the packets that end on one page."""

    def _frames(self, data: bytes) -> Iterator[bytes]:
        for group in self._reader.read(data):
            if group.damage:
                self._note_damage(group.damage)
            yield self._play(group)

    def _last_frames(self) -> Iterator[bytes]:
        if lost := self._reader.rest_bytes:
            self._note_damage(f"{lost} bytes at the end are no page")
        yield b""
