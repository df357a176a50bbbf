"""What is to be said: lines of speech, each knowing where in the message it came from."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from voice_mcp.core.segmentation import Segment, segment
from voice_mcp.core.spans import Span, apart, within
from voice_mcp.core.speakable import Speakable, speakable
from voice_mcp.core.textblocks import BlockReader
from voice_mcp.errors import MessageTooLong, NothingToSay

MOST_CHARS = 100_000
"""About two hours of speech. Nobody asked for more in one call; somebody sent a file by mistake."""
TOGETHER_CHARS = 4_000
"""How much is turned into speech at once: more is read on while its beginning is already being spoken."""
FIRST_CHARS = 60
"""How long the very first segment may be: it is in a hurry."""
LATER_FIRST_CHARS = 200
"""How long the first segment of a later stretch may be: it is in none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One segment of speech."""

    text: str
    """What the engine gets."""
    block: int
    """Which block of the message it belongs to."""
    start: int
    """Where it begins in the block's spoken text."""


class Script:
    """A message, or a stream of them, as lines of speech.

    Blocks are turned into speech only when the lines before them have been taken, so a long message costs no more
    before its first sound than a short one.
    """

    def __init__(self) -> None:
        self._unread: deque[str] = deque()
        self._blocks: list[Speakable] = []
        self._lines: deque[Line] = deque()
        self._closed = False
        self._changed = asyncio.Event()
        self._begun = False

    @classmethod
    def of(cls, message: str) -> Script:
        """A script of one whole message. It parses: not for the event loop's thread.

        Raises:
            NothingToSay: It holds nothing that can be spoken.
            MessageTooLong: It is longer than anybody would listen to.
        """
        if len(message) > MOST_CHARS:
            raise MessageTooLong(
                f"The message has {len(message):,} characters; at most {MOST_CHARS:,} can be spoken in one call."
            )
        script = cls()
        for block in _blocks(message):
            script.append(block)
        script.close()
        while script._unread and not script._lines:
            script._read_on()
        if not script._lines:
            raise NothingToSay("There is nothing to say: the message holds no words.")
        return script

    def append(self, block: str) -> None:
        """Add a block of Markdown to the end."""
        self._unread.append(block)
        self._changed.set()

    def close(self) -> None:
        """No more blocks will come."""
        self._closed = True
        self._changed.set()

    @property
    def is_waiting(self) -> bool:
        """Whether the next line is not known yet, and may never come."""
        return not (self._closed or self._lines or self._unread)

    async def next_line(self) -> Line | None:
        """The next line, as soon as there is one; None after the last."""
        while not self._lines:
            if self._unread:
                await asyncio.to_thread(self._read_on)
            elif self._closed:
                return None
            else:
                self._changed.clear()
                await self._changed.wait()
        self._begun = True
        return self._lines.popleft()

    @property
    def remaining_chars(self) -> int:
        """Characters not yet taken, roughly."""
        return sum(len(line.text) for line in self._lines) + sum(map(len, self._unread))

    def surroundings(self, line: Line, margin_chars: int) -> tuple[int, str]:
        """The part of the message that ``line`` says, with what stands around it; and where in its block it begins."""
        block = self._blocks[line.block]
        start = max(block.source_offset(line.start) - margin_chars, 0)
        return start, block.source[start : block.source_offset(line.start + len(line.text)) + margin_chars]

    def spoken_in(self, line: Line, spans: Iterable[Span]) -> tuple[Span, ...]:
        """Where in ``line`` that is said which stands at ``spans`` of its block of the message."""
        block = self._blocks[line.block]
        spoken = apart(block.spoken_stretch(start, end) for start, end in spans)
        return tuple(within(spoken, line.start, line.start + len(line.text)))

    def divide(self, block: int, spoken_offset: int) -> tuple[str, str]:
        """The message, cut after the first ``spoken_offset`` spoken characters of block ``block``: heard, unheard."""
        before = [other.source for other in self._blocks[:block]]
        after = [other.source for other in self._blocks[block + 1 :]]
        current = self._blocks[block]
        cut = current.source_offset(spoken_offset)
        heard = "".join((*before, current.source[:cut]))
        unheard = "".join((current.source[cut:], *after, *self._unread))
        return heard.strip(), unheard.strip()

    def undivided(self) -> str:
        """The whole message as it came in so far."""
        return "".join((*(block.source for block in self._blocks), *self._unread)).strip()

    def _read_on(self) -> None:
        """Turn the next blocks into lines: as many together as make a good stretch. Thread: any, one at a time."""
        blocks, chars = 0, 0
        for block in tuple(self._unread):
            if blocks and chars + len(block) > TOGETHER_CHARS:
                break
            blocks, chars = blocks + 1, chars + len(block)
        read = speakable("".join(itertools.islice(self._unread, blocks)))
        number = len(self._blocks)
        # Read before it is taken away: whoever divides the message meanwhile must find every word of it.
        self._blocks.append(read)
        for _ in range(blocks):
            self._unread.popleft()
        first_chars = LATER_FIRST_CHARS if self._begun else FIRST_CHARS
        self._lines.extend(_line(part, number) for part in segment(read.text, first_chars=first_chars))


def _blocks(message: str) -> Iterator[str]:
    if len(message) <= TOGETHER_CHARS:
        yield message
        return
    reader = BlockReader()
    yield from reader.push(message)
    yield from reader.flush()


def _line(part: Segment, block: int) -> Line:
    return Line(part.text, block, part.start)
