"""espeak-ng's word events as marks on the printed words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from voice_mcp.tts._espeak_library import WordEvent
from voice_mcp.types import WordMark

_REST_OF_WORD = re.compile(r"(?:['’‐‑-][^\W\d_]+)+")
"""What belongs to the word although the event leaves it out: ``'t`` of ``don't``, ``-known`` of ``well-known``."""


class WordTrack:
    """Turns events into marks that ascend, do not overlap and each cover something printed.

    One printed word may be many spoken ones (``1234``), and then the library tells of each, somewhere in the same
    word; only the first is a mark. Times from compressed speech (above speed 2.6) are some 10 ms loose in the library
    and may step back; here they do not.
    """

    def __init__(self, text: str, rate_hz: int) -> None:
        self._text = text
        self._rate_hz = rate_hz
        self._marked_to_char = 0
        self._marked_to_s = 0.0

    def marks(self, words: Iterable[WordEvent], start_char: int, start_frame: int) -> list[WordMark]:
        """The marks that ``words`` make.

        Args:
            words: Events of one piece of the text, in order.
            start_char: Where that piece begins in the text.
            start_frame: Frames of audio before that piece.
        """
        found = []
        for word in words:
            begin = start_char + word.start_char
            if begin < self._marked_to_char:
                continue
            span = self._printed(begin, begin + word.length_chars)
            if span is not None:
                begin, self._marked_to_char = span
                self._marked_to_s = max(self._marked_to_s, (start_frame + word.frame) / self._rate_hz)
                found.append(WordMark(begin, self._marked_to_char - begin, self._marked_to_s))
        return found

    def _printed(self, begin: int, end: int) -> tuple[int, int] | None:
        printed = self._text[begin:end]
        if not printed.strip():
            return None
        begin += len(printed) - len(printed.lstrip())
        end = begin + len(printed.strip())
        rest = _REST_OF_WORD.match(self._text, end)
        return begin, rest.end() if rest else end
