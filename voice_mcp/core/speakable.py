"""Turns an agent's Markdown message into what a person would read out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voice_mcp.core.cleaning import clean
from voice_mcp.core.reading import Reader
from voice_mcp.core.tracing import TracedText

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Speakable:
    """A message and what is said of it."""

    source: str
    """The message as given."""
    text: str
    """What is said: one block a line; empty when there is nothing to say."""
    _cleaned: TracedText = field(repr=False, compare=False)
    """Leads from the text that was parsed to ``source``."""
    _spoken: TracedText = field(repr=False, compare=False)
    """Leads from ``text`` to the text that was parsed."""

    def source_offset(self, spoken_offset: int) -> int:
        """Where in ``source`` the speech up to ``spoken_offset`` has got to.

        Never falls as ``spoken_offset`` grows; 0 for 0, and the length of ``source`` for the length of ``text``. What
        is said otherwise than it is written (a code block, a link's host) counts once it is said to its end.
        """
        if spoken_offset <= 0:
            return 0
        if spoken_offset >= len(self.text):
            return len(self.source)
        return self._cleaned.end_of(self._spoken.end_of(spoken_offset))

    def spoken_stretch(self, start: int, end: int) -> tuple[int, int]:
        """Where in ``text`` everything is that says some of ``start`` to ``end`` of ``source``; or nothing."""
        return self._spoken.stretch(*self._cleaned.stretch(start, end))


def speakable(message: str) -> Speakable:
    """What a person would say who reads ``message`` out. Any string gives a result."""
    cleaned = clean(message)
    text = str(cleaned)
    spoken = Reader(text).read(_parsed(text)) if text.strip() else TracedText()
    return Speakable(message, str(spoken).replace("\t", " "), cleaned, spoken)


def _parsed(text: str) -> list[Token]:
    from markdown_it import MarkdownIt  # 40 ms: loaded when the first message comes

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    _Places().attach(parser)
    return parser.parse(text)


class _Places:
    """Notes for every inline token where it stands in its block, which markdown-it knows but does not keep.

    A rule that never matches is asked at every position before all others, and so sees which position the tokens that
    have appeared since came from. Tokens get ``meta["at"]`` and ``meta["to"]``, offsets in the block's content; plain
    text stands there character for character.
    """

    def __init__(self) -> None:
        self._notes: dict[int, _Note] = {}

    def attach(self, parser: MarkdownIt) -> None:
        parser.inline.ruler.before("text", "places", self._look)
        parser.inline.ruler2.before("balance_pairs", "places", self._finish)
        # Joining texts would lose their places, and is no help: the reader joins them anyway.
        parser.inline.ruler2.disable("fragments_join")
        parser.core.ruler.disable("text_join")

    def _look(self, state: StateInline, silent: bool) -> bool:
        if not silent:
            # An image's text is parsed while its paragraph is: every block under way has its own note.
            self._notes.setdefault(id(state), _Note()).settle(state)
        return False

    def _finish(self, state: StateInline) -> None:
        note = self._notes.pop(id(state), None)
        if note is not None:
            note.settle(state)


class _Note:
    """What is known of one block while it is parsed."""

    def __init__(self) -> None:
        self._count = 0
        self._position = 0
        self._text_start = 0

    def settle(self, state: StateInline) -> None:
        """Place the tokens that have come since the last position, and move on to this one."""
        at = self._position
        for index, token in enumerate(state.tokens[self._count :]):
            if index == 0 and token.type == "text":
                at = self._text_start
            meta: dict[Any, Any] = token.meta
            meta["at"], meta["to"] = at, state.pos
            at = max(at + len(token.content), self._position) if token.type == "text" else self._position
        self._count = len(state.tokens)
        self._position = state.pos
        if not state.pending:
            self._text_start = state.pos
