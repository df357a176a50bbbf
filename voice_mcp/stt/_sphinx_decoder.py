"""pocketsphinx behind four verbs. Everything here belongs to one thread; the library is loaded when this is made.

The library holds Python's lock while it works, so it is fed 20 ms at a time: nobody else waits longer than that takes.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.stt._sphinx_sound import BLOCK_FRAMES, Conditioner
from voice_mcp.types import LISTENING_FORMAT

PIECE_BYTES = 2 * BLOCK_FRAMES * LISTENING_FORMAT.frame_bytes
BEGINNING_BYTES = LISTENING_FORMAT.frames_in(1.0) * LISTENING_FORMAT.frame_bytes
"""What is collected first: level and averages are taken from it, without which the first second is not understood."""
MOST_OUTSIDE_S = 0.4
"""A grammar takes whatever it hears for the nearest phrase. With more sound than this beside it, it was none."""
_NO_WHEEL = (3, 14)
"""From this Python on there was no wheel of pocketsphinx 5.1."""


class SphinxDecoder:
    """One stretch of speech after another.

    Args:
        grammar: JSGF; None for free dictation.

    Raises:
        EngineMissing: pocketsphinx is not installed.
        EngineError: The grammar cannot be used.
    """

    def __init__(self, grammar: str | None) -> None:
        self._decoder: Any = _new_decoder(grammar)
        self._has_grammar = grammar is not None
        self._waiting = bytearray()
        self._sound: Conditioner | None = None

    def begin(self) -> None:
        """Forget what was heard before, and whoever said it."""
        if self._sound is not None:
            self._decoder.end_utt()
        self._decoder.reinit_feat()  # averages of another turn would make the result depend on it
        self._waiting.clear()
        self._sound = None

    def add(self, frames: bytes) -> None:
        """Take some frames."""
        self._waiting += frames
        if self._sound is None:
            if len(self._waiting) < BEGINNING_BYTES:
                return
            self._start()
        self._decode_pieces()

    def understood(self) -> str:
        """The words so far."""
        hypothesis = self._decoder.hyp() if self._sound is not None else None
        return hypothesis.hypstr if hypothesis is not None else ""

    def finish(self) -> str:
        """No more frames will come: the words."""
        if self._sound is None:
            if not self._waiting:
                return ""
            self._start()
        self._decode_pieces()
        assert self._sound is not None
        if self._waiting:
            self._decoder.process_raw(self._sound.condition(bytes(self._waiting)))
        self._decoder.end_utt()
        text = self.understood()
        stray = self._has_grammar and self._sound.sounding_outside(self._covered()) > MOST_OUTSIDE_S
        self._sound = None
        return "" if stray else text

    def _start(self) -> None:
        """Learn the averages of the beginning from a first look at it; the real one follows."""
        beginning = bytes(self._waiting[:BEGINNING_BYTES])
        self._decoder.start_utt()
        self._decoder.process_raw(Conditioner(beginning).condition(beginning), no_search=True, full_utt=True)
        self._decoder.end_utt()
        self._decoder.set_cmn(self._decoder.get_cmn())
        self._decoder.start_utt()
        self._sound = Conditioner(beginning)

    def _decode_pieces(self) -> None:
        assert self._sound is not None
        whole_bytes = len(self._waiting) // PIECE_BYTES * PIECE_BYTES
        for at in range(0, whole_bytes, PIECE_BYTES):
            self._decoder.process_raw(self._sound.condition(bytes(self._waiting[at : at + PIECE_BYTES])))
        del self._waiting[:whole_bytes]

    def _covered(self) -> list[tuple[int, int]]:
        """The stretches that are words, in blocks."""
        segments = self._decoder.seg() or ()
        return [(part.start_frame, part.end_frame) for part in segments if part.word[0] not in "<["]


def _new_decoder(grammar: str | None) -> Any:
    try:
        import pocketsphinx  # with its model 100 to 500 ms
    except ImportError as exc:
        raise EngineMissing("pocketsphinx is not installed.", hint=missing_hint()) from exc
    try:
        if grammar is None:
            return pocketsphinx.Decoder(loglevel="FATAL")
        decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
        _check_words(decoder, grammar)
        decoder.add_jsgf_string("grammar", grammar)
        decoder.activate_search("grammar")
    except (RuntimeError, ValueError, KeyError) as exc:
        raise EngineError("pocketsphinx cannot listen for this grammar.", hint="See that it is JSGF.") from exc
    return decoder


def missing_hint() -> str:
    """The command that brings pocketsphinx."""
    if sys.version_info >= _NO_WHEEL:
        return "There is no wheel for this Python: use Python 3.13, or compile it with `pip install pocketsphinx`."
    return 'Run `pip install "voice-mcp[sphinx]"`.'


def _check_words(decoder: Any, grammar: str) -> None:
    """See that every word can be spoken: the library would only stop understanding anything."""
    bodies = re.findall(r"=([^;]*);", grammar)
    words = re.findall(r"[^\s|()\[\]*+]+", re.sub(r"<[^>]*>|/[^/]*/|\{[^}]*\}", " ", " ".join(bodies)))
    unknown = sorted({word for word in words if decoder.lookup_word(word) is None})
    if unknown:
        hint = "Use other words, in lower case."
        raise EngineError(f"pocketsphinx does not know how these are spoken: {', '.join(unknown)}.", hint=hint)
