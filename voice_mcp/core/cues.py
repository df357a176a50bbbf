"""What the words of a turn ask of the server itself: to wait, to repeat, to be quick. Pure: text in, a ``Cue`` out.

    "Wait a minute."                       WAIT      the turn goes on, for longer than any pause
    "Use the second one. No, hold on."     WAIT
    "Sorry, what did you say?"             REPEAT    only ever as the whole of a turn
    "Close the file. Over."                END_WORD  the turn is over, now; "over" is no part of the answer
    "Yes, please."                         ANSWER    as everything else is; this one with a clear end

What is an answer must not be taken for a cue, so a phrase counts only where it stands alone: as a whole turn, or, at
its end, set off by punctuation or by an "uh". "Don't wait for me", "if it fails, wait" and "repeat that test three
times" are answers. The phrases are settings; the fillers and courtesies around them are known in English, German,
French and Spanish.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from voice_mcp.core.clear_ends import is_clear_end
from voice_mcp.core.spoken_words import Word, phrase_of, phrase_set, stands_at, word_set, words_of

_HESITATIONS = word_set("uh um uhm er erm hm hmm oh ah actually äh ähm euh")
_FILLERS = _HESITATIONS | word_set(
    "well okay ok alright so no sorry please just hey but bitte entschuldigung also nein doch mal kurz pardon non mais "
    "alors bueno pues perdón perdona pero"
)
"""Words that may stand around a cue and change nothing."""
_AROUND_A_REQUEST = phrase_set(
    "can you|could you|would you|will you|i'm sorry|i am sorry|excuse me|again|once more|one more time|for me|"
    "kannst du|könntest du|können sie|noch einmal|peux-tu|pouvez-vous|puedes|podrías|otra vez"
)
_COURTESIES = phrase_set("if you please|s'il te plaît|s'il vous plaît|por favor")
_CONDITIONS = word_set(
    "if when whenever once after until unless before while wenn falls sobald nachdem bevor bis si quand dès avant "
    "cuando antes después hasta"
)
"""A sentence that begins with one of these, and ends with "wait", tells the agent what to do then."""
_ENDS_A_SENTENCE = frozenset(".!?…。！？")
_LEFT_OVER = " \t\n,;:-–—"


class CueKind(Enum):
    """What a turn is."""

    ANSWER = auto()
    """Words for the agent."""
    WAIT = auto()
    """The speaker wants time: the turn is not over."""
    REPEAT = auto()
    """The speaker did not understand what was said last."""
    END_WORD = auto()
    """The speaker says that the turn is over."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What the words of a turn, or of a turn so far, come to."""

    kind: CueKind
    text: str
    """What is for the agent: all that was said, but for an end word, and nothing of a wish to hear it again."""
    is_clear_end: bool = False
    """Whether nothing more is to be expected, as far as words can tell."""


class Cues:
    """Knows the phrases.

    Args:
        end_word: Ends a turn; empty: there is none.
        wait_phrases: Ask for time.
        repeat_phrases: Ask to hear it again.
    """

    def __init__(
        self, end_word: str = "", wait_phrases: Iterable[str] = (), repeat_phrases: Iterable[str] = ()
    ) -> None:
        self._end = phrase_of(end_word)
        self._wait = phrase_set("|".join(wait_phrases))
        self._repeat = phrase_set("|".join(repeat_phrases))

    def of(self, text: str, language: str | None = None) -> Cue:
        """What ``text`` comes to.

        Args:
            text: A transcript, of a turn or of the turn so far.
            language: ISO 639-1 code, when it is known.
        """
        words = words_of(text)
        if (kept := self._before_end_word(text, words)) is not None:
            return Cue(CueKind.END_WORD, kept, is_clear_end=True)
        if self._asks_to_repeat(words):
            return Cue(CueKind.REPEAT, "", is_clear_end=True)
        if self._asks_for_time(words):
            # "Wait" stays in the text: when nothing more comes, the agent is to know, and no word is lost.
            return Cue(CueKind.WAIT, text.strip())
        return Cue(CueKind.ANSWER, text.strip(), is_clear_end(text, language))

    def _before_end_word(self, text: str, words: Sequence[Word]) -> str | None:
        """The text up to the end word; None where it does not end with it."""
        first = len(words) - len(self._end)
        if not self._end or not stands_at(words, first, self._end):
            return None
        # "Start over." has no end word. A recogniser that writes no punctuation cannot tell, and is believed.
        if first and not words[first].is_set_off and _is_punctuated(text, words):
            return None
        return text[: words[first].start].strip().rstrip(_LEFT_OVER)

    def _asks_to_repeat(self, words: Sequence[Word]) -> bool:
        return _begin_of_tail(words, self._repeat, (*_AROUND_A_REQUEST, *_COURTESIES)) == 0

    def _asks_for_time(self, words: Sequence[Word]) -> bool:
        begin = _begin_of_tail(words, self._wait, _COURTESIES)
        if not begin:
            return begin == 0
        first = words[begin]
        if not first.is_set_off:
            return first.text in _HESITATIONS
        return not _is_conditional(words[:begin], first)


def _begin_of_tail(
    words: Sequence[Word], phrases: Sequence[tuple[str, ...]], around: Sequence[tuple[str, ...]]
) -> int | None:
    """Where the end of a text begins that is phrases, fillers and ``around`` only; None where no phrase is in it."""
    at, found = len(words), False
    while at:
        step = _ends_with(words[:at], phrases)
        found = found or step > 0
        step = step or _ends_with(words[:at], around) or int(words[at - 1].text in _FILLERS)
        if not step:
            break
        at -= step
    return at if found else None


def _ends_with(words: Sequence[Word], phrases: Sequence[tuple[str, ...]]) -> int:
    """How many words the phrase has that a text ends with; 0 where it ends with none."""
    return next((len(phrase) for phrase in phrases if stands_at(words, len(words) - len(phrase), phrase)), 0)


def _is_conditional(words: Sequence[Word], cue: Word) -> bool:
    """Whether the sentence that the cue closes says when to wait."""
    if _ENDS_A_SENTENCE & set(cue.before):
        return False
    begins = max((at for at, word in enumerate(words) if _ENDS_A_SENTENCE & set(word.before)), default=0)
    return any(word.text in _CONDITIONS for word in words[begins : begins + 3])


def _is_punctuated(text: str, words: Sequence[Word]) -> bool:
    return any(word.before for word in words) or bool(text[words[-1].end :].strip())
