"""Where sentences end: for those who cut what is said, and for voices that breathe between sentences."""

from __future__ import annotations

import re

_WIDE_STOPS = "。！？｡"
_SHORTEST_LINE = 3
_WINDOW_CHARS = 4000
"""sentencex takes time with the square of its input where quotes stay open; in windows that is no longer felt."""
# What sentencex takes for the end of a sentence although it is none.
_ABBREVIATIONS = ("approx.", "ca.", "incl.", "excl.", "resp.", "max.", "tel.", "ext.")
_ABBREVIATIONS_OF = {
    "es": ("ee.",),
    "fr": ("m.", "mm.", "dr.", "mme.", "mlle.", "ex."),
    "hi": ("डॉ.", "प्रो."),
    "pt": ("av.",),
}


def sentence_ends(text: str, language: str = "en") -> list[int]:
    """Offsets behind the sentences of ``text``, the white space after them included; the last is its length.

    Args:
        text: A line end always ends a sentence.
        language: BCP 47 tag or ISO 639 code: abbreviations differ. What region it names makes no difference.
    """
    language = language.partition("-")[0].lower()
    ends: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        ends += (start + end for end in _ends_in_line(line, language))
        start += len(line)
        ends.append(start)
    return ends


def _ends_in_line(line: str, language: str) -> list[int]:
    """Where sentences end inside a line."""
    ends: list[int] = []
    start = 0
    while len(line) - start >= _SHORTEST_LINE:
        window = line[start : start + _WINDOW_CHARS]
        found = [start + end for end in _boundaries(window, language)]
        for end in found[:-1]:
            if _ends_sentence(line, ends[-1] if ends else 0, end, language):
                ends.append(end)
        # The last sentence of a window may go on in the next one.
        start = found[-2] if len(found) > 1 and start + len(window) < len(line) else start + len(window)
    return ends


def _boundaries(text: str, language: str) -> list[int]:
    import sentencex  # native code of 1.6 MB: loaded when the first text is cut

    # It takes UTF-8 only, so half a character would be refused; its place is what matters here.
    sound = re.sub("[\ud800-\udfff]", "x", text)
    known = language if language.isascii() else "en"
    return [boundary["end_index"] for boundary in sentencex.get_sentence_boundaries(known, sound)]


def _ends_sentence(line: str, start: int, end: int, language: str) -> bool:
    """Whether what was found from ``start`` to ``end`` is a sentence, not a list item's number or half a name."""
    sentence = line[max(start, end - 80) : end].rstrip()
    following = line[end : end + 1]
    if not line[end - 1].isspace():
        # "np.Array" and "one.Two" are words; only wide stops need no space.
        return sentence.rstrip("」』”’）").endswith(tuple(_WIDE_STOPS))
    if sentence.endswith(".") and following.islower():
        return False
    if re.fullmatch(r"\(?\d{1,9}[.)]", sentence) or not any(map(str.isalnum, sentence)):
        return False
    known = (*_ABBREVIATIONS, *_ABBREVIATIONS_OF.get(language, ()))
    return not f" {sentence.lower()}".endswith(tuple(f" {abbreviation}" for abbreviation in known))
