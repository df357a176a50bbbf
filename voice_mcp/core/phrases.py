"""Phrases that are said often ("Done.", "Tests pass.") come from the disk: at once, and without a network.

A phrase is kept when this process has said it for the second time, if it is plain words (``core/plain_words.py``), its
engine is one worth sparing, and its audio came whole and could be decoded without damage.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from voice_mcp.core.plain_words import is_plain
from voice_mcp.errors import StorageError
from voice_mcp.protocols import SpeechEngine, SpeechStream
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.phrase_store import MOST_BYTES, Phrase, PhraseStore
from voice_mcp.types import PcmFormat, SpeechRequest, WordMark

if TYPE_CHECKING:
    from cachetools import LRUCache

logger = logging.getLogger(__name__)

Recipe = Callable[[SpeechEngine], str | None]
"""What an engine's audio depends on besides the request: its address, its model and the format it is asked for, in one
text. None for engines whose speech is not kept, because they sound as soon as a file does."""

OFTEN = 2
"""So often a phrase is said before it is kept."""
MOST_COUNTED = 1000
"""Phrases whose sayings are counted; those not said for longest are forgotten first."""
BLOCK_BYTES = 16_384
"""What is replayed at once: a third of a second, so that long before all of it is decoded the first of it sounds."""
_WHAT = "A phrase that is said often"


class Phrases:
    """Finds phrases that were kept, and keeps those that are said often.

    Args:
        store: Where; None keeps none.
        journal: By whom.
        recipe: Tells which engines' speech is kept, and engines apart.
    """

    def __init__(self, store: PhraseStore | None, journal: Journal, recipe: Recipe) -> None:
        self._store = store
        self._journal = journal
        self._recipe = recipe
        self._said: LRUCache[bytes, int] | None = None
        self._salt = os.urandom(16)

    async def find(self, engine: SpeechEngine, request: SpeechRequest) -> SpeechStream | None:
        """What ``engine`` said when it was asked the same before, if that was kept. Never raises for a bad disk."""
        asked, store = self._asked(engine, request), self._store
        if asked is None or store is None:
            return None
        try:
            phrase = await asyncio.to_thread(store.get, asked)
        except StorageError as exc:
            # Whatever is wrong there will be wrong next time: the engines can do without.
            logger.warning("%s No phrases are kept from now on.", exc)
            self._store = None
            return None
        return _Replay(phrase) if phrase is not None else None

    def keeping(self, engine: SpeechEngine, request: SpeechRequest, stream: SpeechStream) -> SpeechStream:
        """The same stream, or one that behaves like it and can be given to ``keep`` in the end."""
        asked = self._asked(engine, request)
        return _Collecting(stream, asked) if asked is not None else stream

    def keep(self, stream: SpeechStream) -> None:
        """What came of ``stream`` was decoded to its end without damage: it counts, and is kept if it is said often.

        Returns at once. A stream that is not from ``keeping``, was not read to its end, or is too large, is let go.
        """
        if not isinstance(stream, _Collecting) or self._store is None:
            return
        phrase = stream.phrase()
        if phrase is not None and self._count(stream.asked) >= OFTEN:
            self._journal.submit(partial(self._store.put, stream.asked, phrase), _WHAT, bulk_bytes=len(phrase.audio))

    def _asked(self, engine: SpeechEngine, request: SpeechRequest) -> bytes | None:
        """Everything the audio depends on; None where it is not to be kept."""
        if self._store is None or not is_plain(request.text):
            return None
        recipe = self._recipe(engine)
        if recipe is None:
            return None
        parts = [recipe, engine.name, request.text, request.voice, float(request.speed), request.instructions]
        return json.dumps(parts).encode()

    def _count(self, asked: bytes) -> int:
        """How often it has been said now."""
        if self._said is None:
            from cachetools import LRUCache  # 6 ms that a start without any phrase does not pay

            self._said = LRUCache(MOST_COUNTED)
        digest = hashlib.blake2b(asked, key=self._salt, digest_size=16).digest()
        count = self._said.get(digest, 0) + 1
        self._said[digest] = count
        return count


class _Collecting:
    """A ``SpeechStream`` that holds on to what another one brings."""

    def __init__(self, stream: SpeechStream, asked: bytes) -> None:
        self._stream = stream
        self._blocks: AsyncIterator[bytes] | None = None
        self._audio = bytearray()
        self._complete = False
        self.asked = asked

    @property
    def engine(self) -> str:
        return self._stream.engine

    @property
    def model(self) -> str:
        return self._stream.model

    @property
    def voice(self) -> str:
        return self._stream.voice

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    @property
    def media_type(self) -> str:
        return self._stream.media_type

    @property
    def pcm_format(self) -> PcmFormat | None:
        return self._stream.pcm_format

    @property
    def connect_s(self) -> float:
        return self._stream.connect_s

    @property
    def word_marks(self) -> Sequence[WordMark]:
        return self._stream.word_marks

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._blocks = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        assert self._blocks is not None
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            self._complete = True
            raise
        if len(self._audio) <= MOST_BYTES:
            self._audio += block
        return block

    async def aclose(self) -> None:
        await self._stream.aclose()

    def phrase(self) -> Phrase | None:
        """All that came; None when that was not all there was, nothing, or too much."""
        if not self._complete or not 0 < len(self._audio) <= MOST_BYTES:
            return None
        return Phrase(
            engine=self.engine,
            model=self.model,
            voice=self.voice,
            encoding=self.encoding,
            media_type=self.media_type,
            pcm_format=self.pcm_format,
            word_marks=tuple(self.word_marks),
            audio=bytes(self._audio),
        )


class _Replay:
    """A ``SpeechStream`` of what was kept. Can be iterated any number of times."""

    connect_s = 0.0

    def __init__(self, phrase: Phrase) -> None:
        self.engine = phrase.engine
        self.model = phrase.model
        self.voice = phrase.voice
        self.encoding = phrase.encoding
        self.media_type = phrase.media_type
        self.pcm_format = phrase.pcm_format
        self.word_marks = phrase.word_marks
        self._audio = phrase.audio

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._audio), BLOCK_BYTES):
            yield self._audio[start : start + BLOCK_BYTES]

    async def aclose(self) -> None:
        """Nothing is held."""
